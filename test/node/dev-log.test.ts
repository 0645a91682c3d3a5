// The log of `dev` on the disk: how long it may become, and how it is read while it is written.
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DevLog, logFiles } from "../../src/cli/project/dev-log.ts";
import { readableLine } from "../../src/cli/project/log-line.ts";
import { followLog, type ReadLog, readLog } from "../../src/cli/project/read-log.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "waybill log "));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const LINE = "x".repeat(1_000);

describe("the log of dev", () => {
  it("goes on where it ended, and its owner alone may read it", () => {
    expect(readLog(folder)).toBeNull();
    new DevLog(folder).write("one");
    new DevLog(folder).write("two ü");
    expect(readLog(folder)?.lines).toEqual(["one", "two ü"]);
    expect(statSync(logFiles(folder)[1]).mode & 0o777).toBe(0o600);
  });

  it("keeps the last megabytes, and no more", () => {
    const log = new DevLog(folder);
    for (let count = 0; count < 20_000; count += 1) log.write(`${count} ${LINE}`);
    const bytes = logFiles(folder).map((file) => statSync(file).size);
    expect(Math.max(...bytes)).toBeLessThanOrEqual(4 * 1024 * 1024);
    const lines = readLog(folder)?.lines ?? [];
    expect(lines.length).toBeGreaterThan(4_000);
    expect(lines.map((line) => Number.parseInt(line, 10))).toEqual(
      Array.from(lines, (_, at) => 20_000 - lines.length + at),
    );
  });

  it("is followed from what was read, line by line, when another file takes its place, too", async () => {
    const log = new DevLog(folder);
    log.write("before");
    const read = readLog(folder) as ReadLog;
    log.write("between");
    const followed: string[] = [];
    const ending = new AbortController();
    const following = (async () => {
      for await (const line of followLog(folder, read, ending.signal)) followed.push(line.split(" ")[0] ?? "");
    })();
    for (let count = 0; !existsSync(logFiles(folder)[0]) || count % 100 !== 0; count += 1)
      log.write(`${count} ${LINE}`);
    log.write("last");
    await expect.poll(() => followed.at(-1)).toBe("last");
    ending.abort();
    await following;
    expect(followed).toEqual(["between", ...Array.from(followed.slice(2), (_, at) => String(at)), "last"]);
  });

  it("has the lines of the worker itself in words, and all others as they are", () => {
    const own = '{"requestId":"job-1","message":"completed","level":"INFO","ms":5}';
    expect(readableLine(own)).toBe("INFO  | job-1 | completed ms=5");
    expect(readableLine('{"requestId":null,"message":"the worker is ready","level":"INFO"}')).toBe(
      "INFO  | the worker is ready",
    );
    for (const line of ['{"requestId":', "plain", '{"mine":1}']) expect(readableLine(line)).toBe(line);
  });
});
