// `waybill dev` of the installed package without a broker, under each Node that it is for: its first answer, reloads, crashes, its end, and its
// log.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { findPort } from "../running/port.ts";
import { type DevProgram, DevWorker } from "./dev-worker.ts";
import { InstalledPackage, NODES } from "./installed-package.ts";

const installed = new InstalledPackage();
const idSchema = z.object({ id: z.string() });
const FIRST_ANSWER_MAX_MS = 10_000;
const AT = /the worker is at (\S+)/;

/** Runs a job of a local endpoint. */
async function job(url: string, input: unknown = {}): Promise<unknown> {
  const answer = await fetch(`${url}/runsync`, { method: "POST", body: JSON.stringify({ input }) });
  return answer.json();
}

/** Is there a process of this number that runs? */
function isAlive(pid: number): boolean {
  const state = execFileSync("sh", ["-c", `ps -o stat= -p ${pid} || true`], { encoding: "utf8" }).trim();
  return state !== "" && !state.startsWith("Z");
}

const dies = (pid: number) => expect.poll(() => isAlive(pid), { timeout: 20_000, interval: 100 }).toBe(false);

/** The process of the worker. Its handler tells it. */
async function pidOf(dev: DevProgram): Promise<number> {
  return Number(await dev.prints(/pid (\d+)/));
}

describe.each(NODES)("dev without a broker under Node $release", ({ node, release }) => {
  let worker: DevWorker;

  beforeAll(async () => {
    worker = await DevWorker.make(installed, `local-${release.replaceAll(".", "-")}`, node);
  });
  afterEach(() => worker.stopAll());

  it("answers by the line that it prints, soon", async () => {
    const beganMs = performance.now();
    const dev = worker.start();
    const line = await dev.prints(/^ {2}(curl .*)$/m);
    const answer = JSON.parse(await worker.shell(`${line} -s`));
    const tookMs = performance.now() - beganMs;
    expect(answer).toMatchObject({ status: "COMPLETED", output: { language: "en" } });
    console.info(`dev under Node ${release}: the first answer after ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(FIRST_ANSWER_MAX_MS);
    expect(dev.printed()).toMatch(/serves on this machine: no broker is named/);
    await dev.end();
  });

  it("starts the worker anew once for a burst of changes, however an editor saves", async () => {
    worker.writeHandler("return 1;");
    const dev = worker.start();
    const url = await dev.prints(AT);
    expect(await job(url)).toMatchObject({ output: 1 });
    for (const [at, output] of [2, 3, 4].entries()) {
      const text = worker.read(worker.handler).replace(/return \d/, `return ${output}`);
      writeFileSync(join(worker.folder, `${worker.handler}.new`), text);
      worker.write("notes.txt", text);
      renameSync(join(worker.folder, `${worker.handler}.new`), join(worker.folder, worker.handler));
      await dev.prints(AT, at + 2);
      expect(await job(url)).toMatchObject({ output });
    }
    expect(dev.printed().match(/changed: the worker starts anew/g)).toHaveLength(3);
    await dev.end();
  });

  it("shows a worker that crashes, and starts it again when the fault is gone", async () => {
    worker.writeHandler("return 1;");
    const dev = worker.start();
    const url = await dev.prints(AT);
    worker.write(worker.handler, "export const input = {;\n");
    await dev.prints(/SyntaxError/);
    await dev.prints(/ended with code 1: it is started again when a file changes/);
    worker.writeHandler("return 2;");
    await dev.prints(AT, 2);
    expect(await job(url)).toMatchObject({ output: 2 });
    await dev.end();
  });
});

it("a dev that is killed leaves no worker behind, though the handler computes and listens to nothing", async () => {
  await Promise.all(
    NODES.map(async ({ node, release }) => {
      const worker = await DevWorker.make(installed, `killed-${release.replaceAll(".", "-")}`, node);
      worker.writeHandler(`console.log("pid", process.pid);\nfor (;;);`);
      const dev = worker.start();
      const lost = job(await dev.prints(AT)).catch(() => "lost");
      const pid = await pidOf(dev);
      dev.signal("SIGKILL");
      await dies(pid);
      expect(await lost).toBe("lost");
      // The next one is not in its way.
      worker.writeHandler("return 1;");
      const next = worker.start();
      expect(await job(await next.prints(AT))).toMatchObject({ output: 1 });
      await next.end();
    }),
  );
});

describe("dev", () => {
  const [{ node } = { node: process.execPath }] = NODES;
  let worker: DevWorker;

  beforeAll(async () => {
    worker = await DevWorker.make(installed, "worker", node);
  });
  beforeEach(() =>
    worker.writeHandler(`
      console.log("the handler has", job.input.word);
      console.error("a warning");
      return job.input.word;`),
  );
  afterEach(() => worker.stopAll());

  it("ends when the running job has its answer, and at once at a second signal", async () => {
    worker.writeHandler(`
      console.log("pid", process.pid);
      await new Promise((resolve) => setTimeout(resolve, job.input.ms));
      return "done";`);
    const first = worker.start();
    const answer = job(await first.prints(AT), { ms: 700 });
    await pidOf(first);
    await first.end();
    expect(await answer).toMatchObject({ output: "done" });

    const second = worker.start();
    const lost = job(await second.prints(AT), { ms: 60_000 }).catch(() => "lost");
    const pid = await pidOf(second);
    second.signal("SIGINT");
    await second.prints(/ends when its jobs are done/);
    // What npm hands on comes in the same moment, and counts as the same Ctrl-C.
    second.signal("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(isAlive(pid)).toBe(true);
    second.signal("SIGINT");
    expect(await second.ended).toBe(1);
    expect(await lost).toBe("lost");
    await dies(pid);
  });

  it("ends a worker that does not want to at one more change", async () => {
    const text = worker.read(worker.handler);
    worker.writeHandler(`console.log("pid", process.pid);\nfor (;;);`);
    const dev = worker.start();
    const lost = job(await dev.prints(AT)).catch(() => "lost");
    const pid = await pidOf(dev);
    worker.write("one.txt", "1");
    await dev.prints(/one\.txt changed/);
    expect(isAlive(pid)).toBe(true);
    worker.write(worker.handler, text);
    await dev.prints(AT, 2);
    expect([isAlive(pid), await lost]).toEqual([false, "lost"]);
    await dev.end();
  });

  it("tells scripts by lines of JSON", async () => {
    const dev = worker.start(["dev", "--json", "--port", String(await findPort())]);
    const url = await dev.prints(/"event":"serving","url":"([^"]+)"/);
    await job(url, { word: "red" });
    await dev.prints(/the handler has red/);
    await dev.end();
    const events = dev
      .printed()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toContainEqual({ event: "output", stream: "stdout", line: "the handler has red" });
    expect(events).toContainEqual({ event: "output", stream: "stderr", line: "a warning" });
    expect(events).toContainEqual({ event: "started", pid: expect.any(Number) });
    expect(events.at(-1)).toMatchObject({ event: "stopped" });
  });

  it("keeps what the worker prints, for logs", async () => {
    const dev = worker.start();
    const url = await dev.prints(AT);
    const { id } = idSchema.parse(await job(url, { word: "blue" }));
    const following = worker.start(["logs", "--follow", "--lines", "1"]);
    // Its two outputs may come in another order.
    await following.prints(/(completed|a warning|blue)/);
    await job(url, { word: "green" });
    await following.prints(/the handler has green/);
    following.signal("SIGINT");
    expect(await following.ended).toBe(0);
    expect(following.printed()).not.toContain("serves an endpoint");
    const { stdout: ofJob } = await worker.waybill(["logs", "--job", id]);
    expect(ofJob).toMatch(new RegExp(`^INFO {2}\\| ${id} \\| completed ms=\\d+\n$`));
    expect((await worker.waybill(["logs", "--job", id, "--lines", "9"])).stdout).toBe(ofJob);
    const { stdout } = await worker.waybill(["logs", "--json"]);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual({ line: "the handler has green" });
    expect(lines).toContainEqual({ line: "a warning" });
    await dev.end();
    expect((await worker.waybill(["logs"])).stdout).toMatch(/blue\n[\s\S]*green\n[\s\S]*waybill: the worker has ended/);
  });

  it("serves a load-balanced worker on a free port, and tells why it is not attached", async () => {
    const balanced = await DevWorker.make(installed, "balanced", node);
    const settings = JSON.parse(balanced.read("waybill.json"));
    balanced.write("waybill.json", JSON.stringify({ ...settings, type: "LOAD_BALANCER", env: { WORD: "red" } }));
    balanced.write(
      settings.worker,
      'import { serve } from "waybill/worker";\nawait serve(() => new Response(process.env.WORD));\n',
    );
    const dev = balanced.start(["dev"], { WAYBILL_URL: "http://127.0.0.1:9", WAYBILL_KEY: "wb_live_x" });
    const line = await dev.prints(/^ {2}(curl .*)$/m);
    expect(dev.printed()).toContain("its endpoint is load-balanced, and a broker elsewhere cannot call a worker");
    await balanced.shell(`${line} -sf`);
    expect(await (await fetch(await dev.prints(AT))).text()).toBe("red");
    await dev.end();
  });

  it("serves here where the broker does not answer, and tells why", async () => {
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const address = silent.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    const dev = worker.start(["dev", "--broker", url], { WAYBILL_KEY: "wb_live_x" });
    expect(await dev.prints(/serves on this machine: (.*)/)).toContain(
      `no broker answers at ${url} (The operation was aborted due to timeout)`,
    );
    expect(await job(await dev.prints(AT), { word: "red" })).toMatchObject({ output: "red" });
    await dev.end();
    silent.closeAllConnections();
    silent.close();
    const gone = worker.start(["dev", "--broker", url], { WAYBILL_KEY: "wb_live_x" });
    expect(await gone.prints(/serves on this machine: (.*)/)).toContain("no broker answers");
    await gone.prints(AT);
    await gone.end();
  });

  it("takes the next port where one is in use, and refuses one that is named", async () => {
    const first = worker.start();
    const url = await first.prints(AT);
    const other = await DevWorker.make(installed, "other", node);
    const port = new URL(url).port;
    await expect(other.waybill(["dev", "--port", port])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`--port ${port} is in use`),
    });
    const second = other.start();
    const its = await second.prints(AT);
    expect(its).not.toBe(url);
    await first.end();
    // Nor is the port a worker's for good: somebody else may take it while there is none.
    const text = other.read(other.handler);
    other.write(other.handler, "{");
    await second.prints(/ended with code 1/);
    const taker = createServer().listen(Number(new URL(its).port), "127.0.0.1");
    await once(taker, "listening");
    other.write(other.handler, text);
    const next = await second.prints(AT, 2);
    expect(next).not.toBe(its);
    expect(await job(next, { text: "the cat" })).toMatchObject({ status: "COMPLETED" });
    await second.end();
    taker.close();
  });

  it.each([
    ["without waybill.json", "waybill.json", null, "there is no waybill.json in"],
    ["with a wrong one", "waybill.json", '{ "endpoint": "A" }', "waybill.json is wrong: endpoint:"],
    [
      "without its worker",
      "waybill.json",
      '{ "endpoint": "a", "worker": "b.js" }',
      "worker in waybill.json names b.js",
    ],
  ])("is refused in a folder %s", async (_title, name, text, sentence) => {
    const before = worker.read(name);
    if (text === null) renameSync(join(worker.folder, name), join(worker.folder, ".waybill", name));
    else worker.write(name, text);
    const refused = await worker.waybill(["dev"]).catch((error) => error);
    worker.write(name, before);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining(sentence) });
  });

  it("runs once in a folder", async () => {
    const dev = worker.start();
    await dev.prints(AT);
    await expect(worker.waybill(["dev"])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/dev runs in .* already, as process \d+\n$/),
    });
    await dev.end();
    expect(existsSync(join(worker.folder, ".waybill/dev.json"))).toBe(false);
  });
});
