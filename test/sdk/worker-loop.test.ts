// The loop of a worker against a server that hands out what a test gives it: what is still done for jobs while it ends.
import { createServer, type Server, type ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, it, vi } from "vitest";
import { readEnvironment } from "../../src/sdk/environment.ts";
import type { Handler, WorkerConfig } from "../../src/sdk/handler.ts";
import { Heartbeat } from "../../src/sdk/heartbeat.ts";
import { makeInputCheck } from "../../src/sdk/input-check.ts";
import { makeLog } from "../../src/sdk/log.ts";
import { WorkerApi } from "../../src/sdk/worker-api.ts";
import { WorkerLoop } from "../../src/sdk/worker-loop.ts";

let server: Server;
let url: string;
/** The bodies of the next polls; every further one is held. */
let jobs: string[] = [];
let reports: string[] = [];
/** The answers to the next reports; every further one is taken. */
let statuses: number[] = [];
/** The poll for jobs that are to stop, while it is held. */
let stopPoll: ServerResponse | null = null;
let lines: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path.startsWith("/job-take")) {
      const body = jobs.shift();
      if (body !== undefined) response.end(body);
    } else if (path.startsWith("/job-stop/")) {
      stopPoll = response;
      response.once("close", () => {
        stopPoll = null;
      });
    } else {
      reports.push(path);
      response.writeHead(statuses.shift() ?? 200).end("{}");
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  url = `http://127.0.0.1:${address.port}`;
});

beforeEach(() => {
  jobs = [];
  reports = [];
  statuses = [];
  lines = [];
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function loopOf(handler: Handler, settings: Omit<WorkerConfig, "handler"> = {}): WorkerLoop {
  const config: WorkerConfig = { handler, ...settings };
  const place = readEnvironment(
    { RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?gpu=X`, RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/done/$ID?x=1` },
    "worker",
  );
  const log = makeLog({ level: "INFO", isJson: true, write: (line) => lines.push(line) });
  const api = new WorkerApi(place, "1");
  const reporter = { workerId: "worker", hostname: "host", release: "1" };
  const line = { progress: (jobId: string, body: string) => api.done(jobId, body), chunk: null };
  const check = makeInputCheck(config.input);
  return new WorkerLoop({ config, check, api, place, line, reporter, log }, new Heartbeat(place, "1", log));
}

it("stops a job that is cancelled while the worker ends, and does not wait for the rest of it", async () => {
  jobs = ['{"id":"long","input":{}}'];
  const stopped = vi.fn();
  const loop = loopOf(
    ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve(stopped()))),
  );
  const ended = loop.work();
  await vi.waitFor(() => expect(loop.runningIds).toEqual(["long"]));
  loop.drain();
  await vi.waitFor(() => expect(stopPoll).not.toBeNull(), { timeout: 5_000 });
  stopPoll?.end('{"jobsToStop":["long"]}');
  await ended;
  expect([stopped.mock.calls.length, reports]).toEqual([1, []]);
});

it("leaves no poll behind when it has ended", async () => {
  jobs = ['{"id":"held","input":{}}'];
  let finish: () => void = () => undefined;
  const loop = loopOf(() => new Promise<void>((resolve) => (finish = resolve)));
  const ended = loop.work();
  await vi.waitFor(() => expect(stopPoll).not.toBeNull(), { timeout: 5_000 });
  loop.drain();
  finish();
  await ended;
  await vi.waitFor(() => expect(stopPoll).toBeNull());
  expect(reports).toHaveLength(1);
});

it("has few lines of log for a concurrency that is never of use, and goes on with the one before", async () => {
  const thousand = Array.from({ length: 1_000 }, (_, at) => `{"id":"j${at}","input":{}}`);
  jobs = [...thousand];
  const odd: object = Object.create(null);
  const given: unknown[] = [0, "4", odd];
  const concurrency = () => {
    given.push(given.shift());
    if (given[0] === 0) throw new Error("not now");
    // A worker in JavaScript can give anything.
    return given[0] as number;
  };
  const loop = loopOf(() => 1, { concurrency });
  const ended = loop.work();
  await vi.waitFor(() => expect(reports).toHaveLength(thousand.length), { timeout: 20_000 });
  loop.drain();
  await ended;
  const complaints = lines.filter((line) => line.includes("concurrency must be"));
  expect(complaints.length).toBeGreaterThan(5);
  expect(complaints.length).toBeLessThan(20);
  expect(complaints[0]).toContain('"used":1');
});

it("logs each job as what its client learns, and warns of a result that nobody took", async () => {
  jobs = ["too-large", "gone", "fine"].map((id) => `{"id":"${id}","input":{}}`);
  statuses = [413, 200, 404];
  const loop = loopOf(() => 1);
  const ended = loop.work();
  await vi.waitFor(() => expect(reports).toHaveLength(4));
  loop.drain();
  await ended;
  const ends = lines.map((line) => JSON.parse(line)).filter(({ isTaken }) => isTaken !== undefined);
  expect(ends).toMatchObject([
    { requestId: "too-large", message: "failed", level: "INFO", isTaken: true },
    { requestId: "gone", message: "completed", level: "WARN", isTaken: false },
    { requestId: "fine", message: "completed", level: "INFO", isTaken: true },
  ]);
});
