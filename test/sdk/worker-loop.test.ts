// The loop of a worker against a server that hands out what a test gives it: what is still done for jobs while it ends.
import { createServer, type Server, type ServerResponse } from "node:http";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
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
/** The newest poll that is held. */
let poll: ServerResponse | null = null;
let pings: URLSearchParams[] = [];
/** Answers a heartbeat which tells that the worker leaves. */
let onLeaving = (response: ServerResponse): void => void response.writeHead(202).end("{}");
let lines: string[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    if (path.startsWith("/job-take")) {
      const body = jobs.shift();
      if (body !== undefined) response.end(body);
      else {
        poll = response;
        response.once("close", () => {
          if (poll === response) poll = null;
        });
      }
    } else if (path.startsWith("/ping")) {
      const ping = new URL(path, url).searchParams;
      pings.push(ping);
      if (ping.get("leaving") === "1") onLeaving(response);
      else response.end("{}");
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
  pings = [];
  poll = null;
  onLeaving = (response) => void response.writeHead(202).end("{}");
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

interface LoopSettings extends Omit<WorkerConfig, "handler"> {
  readonly hasHeartbeat?: boolean;
}

function loopOf(handler: Handler, { hasHeartbeat = false, ...settings }: LoopSettings = {}): WorkerLoop {
  const config: WorkerConfig = { handler, ...settings };
  const place = readEnvironment(
    {
      RUNPOD_WEBHOOK_GET_JOB: `${url}/job-take/$ID?gpu=X`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${url}/done/$ID?x=1`,
      ...(hasHeartbeat && { RUNPOD_WEBHOOK_PING: `${url}/ping?gpu=X` }),
    },
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

describe("a worker that is told to end while it asks for jobs", () => {
  /** The jobs that are named by each heartbeat which tells that the worker leaves. */
  const leavings = () => pings.filter((ping) => ping.get("leaving") === "1").map((ping) => ping.get("job_id"));

  /** A worker whose poll is held is told to end. Resolves with how long it took to its end, ms. */
  async function msToEnd(settings: LoopSettings): Promise<number> {
    const loop = loopOf(() => 1, settings);
    const ended = loop.work();
    await vi.waitFor(() => expect(poll).not.toBeNull());
    const askedMs = performance.now();
    loop.drain();
    await ended;
    await vi.waitFor(() => expect(poll).toBeNull());
    return performance.now() - askedMs;
  }

  it("tells so with the jobs that it runs, and does the job that its open poll is answered with", async () => {
    jobs = ['{"id":"first","input":{}}'];
    let finish: () => void = () => undefined;
    const untilFinished = new Promise<void>((resolve) => (finish = resolve));
    const loop = loopOf(() => untilFinished, { hasHeartbeat: true, concurrency: () => 2 });
    const ended = loop.work();
    await vi.waitFor(() => expect([loop.runningIds, poll !== null]).toEqual([["first"], true]));
    onLeaving = (response) => {
      response.writeHead(202).end("{}");
      poll?.end('{"id":"crossing","input":{}}');
    };
    loop.drain();
    await vi.waitFor(() => expect(loop.runningIds).toEqual(["first", "crossing"]));
    finish();
    await ended;
    expect(reports.map((path) => path.split(/[/?]/)[2]).sort()).toEqual(["crossing", "first"]);
    expect([leavings(), poll]).toEqual([["first"], null]);
  });

  it.each<[string, (response: ServerResponse) => void]>([
    ["that it will be answered", (response) => response.writeHead(202).end("{}")],
    ["nothing, so that it may have been heard", (response) => response.destroy()],
    ["of a failure, so that it may have been heard", (response) => response.writeHead(503).end()],
    ["nothing for a long time", () => undefined],
  ])("waits two seconds for its poll where it was told %s", async (_what, answer) => {
    onLeaving = answer;
    const tookMs = await msToEnd({ hasHeartbeat: true });
    expect(tookMs).toBeGreaterThan(1_900);
    expect(tookMs).toBeLessThan(4_000);
  });

  it.each([
    ["who does not know what it tells, as RunPod", 200],
    ["who refuses it", 401],
  ])("cuts its poll off at once where it asks one %s", async (_who, status) => {
    onLeaving = (response) => void response.writeHead(status).end("{}");
    expect(await msToEnd({ hasHeartbeat: true })).toBeLessThan(1_500);
  });

  it("cuts its poll off at once where it has no place to tell so", async () => {
    expect(await msToEnd({})).toBeLessThan(1_500);
  });

  it("asks for nothing when it learns so while it reads its concurrency", async () => {
    let read: (value: number) => void = () => undefined;
    const concurrency = () => new Promise<number>((resolve) => (read = resolve));
    const loop = loopOf(() => 1, { hasHeartbeat: true, concurrency });
    const ended = loop.work();
    await vi.waitFor(() => expect(pings).toHaveLength(1));
    loop.drain();
    read(1);
    await ended;
    expect(poll).toBeNull();
  });
});
