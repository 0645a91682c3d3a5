// A worker whose environment sets the time of its end, in a process of its own: from then on it takes no more jobs, and it ends when its
// last one is done.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "waybill-ends-at-"));
const SDK = pathToFileURL(join(import.meta.dirname, "../../src/sdk/worker.ts")).href;
const SECOND_MS = 1_000;

let server: Server;
let url: string;
/** The polls for jobs that are open, and how many there were. */
let polls: ServerResponse[] = [];
let pollsMade = 0;
/** What a handler waits for. */
let held: ServerResponse | null = null;
let reports: string[] = [];
let ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path.startsWith("/job-take")) {
      pollsMade += 1;
      polls.push(response);
      response.once("close", () => {
        polls = polls.filter((poll) => poll !== response);
      });
    } else if (path.startsWith("/held")) held = response;
    else if (path.startsWith("/job-done")) {
      reports.push(path);
      response.end("{}");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  url = `http://127.0.0.1:${address.port}`;
});

beforeEach(() => {
  polls = [];
  pollsMade = 0;
  held = null;
  reports = [];
});

afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a worker's file, with the end that an expression of it gives when the worker starts. */
function run(endsAt: string, source: string, variables: Readonly<Record<string, string>> = {}) {
  const script = join(folder, "worker.mjs");
  const set = `process.env.WAYBILL_WORKER_ENDS_AT = ${endsAt};`;
  writeFileSync(script, `import { serve, start } from ${JSON.stringify(SDK)};\n${set}\n${source}`);
  const env = {
    RUNPOD_POD_ID: "w1",
    RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?gpu=X`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/job-done/$RUNPOD_POD_ID/$ID?gpu=X`,
    HELD: `${url}/held`,
    ...variables,
  };
  const child = spawn(process.execPath, ["--no-warnings", script], { cwd: folder, env });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const exited = once(child, "exit");
  ends.push(() => {
    child.kill("SIGKILL");
    return exited;
  });
  return { child, exited, output: () => output };
}

const soon = `new Date(Date.now() + ${1.5 * SECOND_MS}).toISOString()`;
const waiting = { timeout: 20 * SECOND_MS };

it("takes no more jobs from then on, and ends when the last one is done and reported", async () => {
  const { exited, output } = run(
    soon,
    "await start({ handler: () => fetch(process.env.HELD).then(() => 1), concurrency: 2 });",
  );
  await vi.waitFor(() => expect(polls).toHaveLength(1), waiting);
  polls[0]?.end('{"id":"last","input":{}}');
  await vi.waitFor(() => expect(held).not.toBeNull(), waiting);
  await vi.waitFor(() => expect(output()).toContain("ends when its jobs are done"), waiting);
  expect(output()).toContain("reason=WAYBILL_WORKER_ENDS_AT jobs=1");
  // The poll for the second job was given up.
  await vi.waitFor(() => expect(polls).toHaveLength(0), waiting);
  const pollsBefore = pollsMade;
  held?.end("done");
  expect(await exited).toEqual([0, null]);
  expect(reports).toEqual([expect.stringContaining("/job-done/w1/last?")]);
  expect(pollsMade).toBe(pollsBefore);
});

it("lets its jobs go on at a first signal after it, as at any first signal", async () => {
  const { child, exited, output } = run(soon, "await start({ handler: () => fetch(process.env.HELD).then(() => 1) });");
  await vi.waitFor(() => expect(polls).toHaveLength(1), waiting);
  polls[0]?.end('{"id":"last","input":{}}');
  await vi.waitFor(() => expect(output()).toContain("ends when its jobs are done"), waiting);
  child.kill("SIGTERM");
  await vi.waitFor(() => expect(held).not.toBeNull(), waiting);
  held?.end("done");
  expect(await exited).toEqual([0, null]);
  expect(reports).toHaveLength(1);
});

it.each([
  ["", "ends when its jobs are done"],
  [", prestart: () => new Promise(() => undefined)", "ends before it was ready"],
])(
  "asks for no job where the time has passed already, such as when its container is started again",
  async (hook, words) => {
    const past = "new Date(Date.now() - 1).toISOString()";
    const { exited, output } = run(past, `await start({ handler: () => 1${hook} });`);
    expect(await exited).toEqual([0, null]);
    expect(output()).toContain(words);
    expect(pollsMade).toBe(0);
  },
);

it("works as ever where the time is in many years", async () => {
  const { output } = run('"2199-01-31T12:00:00Z"', "await start({ handler: () => 1 });");
  await vi.waitFor(() => expect(polls).toHaveLength(1), waiting);
  polls[0]?.end('{"id":"first","input":{}}');
  await vi.waitFor(() => expect(reports).toHaveLength(1), waiting);
  await vi.waitFor(() => expect(pollsMade).toBe(2), waiting);
  expect(output()).not.toContain("ends");
});

it("holds for a worker that serves HTTP, too", async () => {
  const { exited, output } = run(soon, 'await serve(() => new Response("x"));', { PORT: "0" });
  expect(await exited).toEqual([0, null]);
  expect(output()).toContain("ends when its requests are done reason=WAYBILL_WORKER_ENDS_AT");
});

it.each(['"soon"', '"2027-01-31"', '"2027-01-31T12:00:00"'])(
  "ends the worker at once with a sentence where it is %s",
  async (text) => {
    const { exited, output } = run(text, "await start({ handler: () => 1 });");
    expect(await exited).toEqual([1, null]);
    expect(output()).toContain("WAYBILL_WORKER_ENDS_AT must be a time such as 2027-01-31T12:00:00Z, not");
  },
);
