// A worker in a process of its own: what ends it, and what does not.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, expect, it } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "waybill-process-"));
const SDK = pathToFileURL(join(import.meta.dirname, "../../src/sdk/worker.ts")).href;
// Nobody listens at the address: a worker that asked for jobs all the same would tell that in its log.
const ADDRESS = "http://127.0.0.1:1/job-take/$ID?gpu=X";
let ends: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a worker's file. */
function run(source: string, variables: Readonly<Record<string, string>>, args: readonly string[] = []) {
  const script = join(folder, "worker.mjs");
  writeFileSync(script, `import { serve, start } from ${JSON.stringify(SDK)};\n${source}`);
  const child = spawn(process.execPath, ["--no-warnings", script, ...args], { cwd: folder, env: { ...variables } });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (output += data));
  const exited = once(child, "exit");
  ends.push(() => {
    child.kill("SIGKILL");
    return exited;
  });
  return {
    child,
    exited,
    output: () => output,
    /** Resolves with what was found in its output, or null when it has ended without that. */
    until: async (wanted: RegExp) => {
      while (!wanted.test(output) && child.exitCode === null) await Promise.race([once(child.stdout, "data"), exited]);
      return wanted.exec(output);
    },
  };
}

// By default a signal ends a process as well, but not the first one of a container: that would go on, and take jobs.
it.each([
  ["fetches its jobs", { RUNPOD_WEBHOOK_GET_JOB: ADDRESS, RUNPOD_WEBHOOK_POST_OUTPUT: ADDRESS }],
  ["serves an endpoint", { MODE: "pod" }],
])("ends in order in the middle of its prestart hook where it %s", async (_what, variables) => {
  const source = `setInterval(() => undefined, 1_000);
    await start({ handler: () => 1, prestart: () => new Promise(() => console.log("loads")) });`;
  const { child, exited, output, until } = run(source, variables);
  await until(/loads/);
  child.kill("SIGTERM");
  expect(await exited).toEqual([0, null]);
  expect(output()).toContain("ends before it was ready");
  expect(output()).not.toContain("asking for jobs");
});

it("goes on when a handler leaves a promise behind that fails", async () => {
  const source = `await start({ handler: ({ input }) => {
      if (input.what === "stray") void Promise.reject(new RangeError("left behind"));
      return input.what === "returned" ? { late: Promise.reject(new Error("not awaited")) } : "done";
    } });`;
  const { output, until } = run(source, { MODE: "pod" }, ["--rp_api_port", "0"]);
  const url = (await until(/url=(http:\S+)/))?.[1];
  const answerTo = async (what: string) => {
    const body = JSON.stringify({ input: { what } });
    const response = await fetch(`${url}/runsync`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    return response.json();
  };
  expect(await answerTo("stray")).toMatchObject({ status: "COMPLETED", output: "done" });
  const error = "output.late is a Promise: await is missing";
  expect(await answerTo("returned")).toMatchObject({ status: "FAILED", error });
  expect(await answerTo("nothing")).toMatchObject({ status: "COMPLETED", output: "done" });
  expect(output()).toContain("RangeError: left behind");
  expect(output()).not.toContain("not awaited");
});

it("goes on when an app leaves a promise behind that fails", async () => {
  const source = `await serve(async () => {
      void Promise.reject(new RangeError("left behind"));
      await new Promise(setImmediate);
      return new Response("whole");
    });`;
  const { output, until } = run(source, { PORT: "0" });
  const port = (await until(/is ready port=(\d+)/))?.[1];
  for (let n = 0; n < 2; n += 1) expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("whole");
  expect(output()).toContain("RangeError: left behind");
});

it("does not begin without a handler: it would take jobs, and fail them all", async () => {
  const { exited, output } = run("await start({ hander: () => 1 });", { MODE: "pod" });
  expect(await exited).toEqual([1, null]);
  expect(output()).toContain("handler must be a function");
});

it("does the job that its open poll was answered with while a handler kept its thread busy, though it leaves", async () => {
  let poll: ServerResponse | undefined;
  const done: string[] = [];
  let handed = 0;
  const jobs = ['{"id":"computes","input":true}', '{"id":"crosses","input":false}'];
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://broker");
    if (pathname.startsWith("/job-done/")) done.push(pathname);
    if (searchParams.get("leaving") === "1") poll?.end(jobs[handed]);
    if (!pathname.startsWith("/job-take")) return void response.writeHead(202).end("{}");
    poll = response;
    if (handed === 0) response.end(jobs[handed++]);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(
    async () => void server.closeAllConnections(),
    async () => void server.close(),
  );
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  const url = `http://127.0.0.1:${address.port}`;
  // The handler lets the signal be read. Then it computes for longer than the poll is waited for, while the heartbeat is sent all the same.
  const source = `import { setTimeout as sleep } from "node:timers/promises";
    await start({ concurrency: () => 2, handler: async ({ input }) => {
      if (!input) return "done";
      await sleep(500);
      process.kill(process.pid, "SIGTERM");
      await sleep(20);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3_000);
      return "done";
    } });`;
  const { exited } = run(source, {
    RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?gpu=X`,
    RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/job-done/$ID?gpu=X`,
    RUNPOD_WEBHOOK_PING: `${url}/ping?gpu=X`,
  });
  expect(await exited).toEqual([0, null]);
  expect(done.sort()).toEqual(["/job-done/computes", "/job-done/crosses"]);
});
