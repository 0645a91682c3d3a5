// A small GPU-style worker that speaks RunPod's endpoint API on /v2/ocr, so that Waybill can push jobs to it.
// Settings: PORT (default 8788, 0 takes any free one), OCR_WORKER_KEY (the key callers must send; required).
import { randomUUID, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { loadRecogniser, type Recognised } from "./handler.ts";

type Job = { readonly id: string; readonly input: unknown; readonly submittedMs: number } & (
  | { readonly status: "IN_QUEUE" }
  | { readonly status: "IN_PROGRESS"; readonly startedMs: number }
  | { readonly status: "CANCELLED"; readonly endedMs: number }
  | { readonly status: "COMPLETED"; readonly startedMs: number; readonly endedMs: number; readonly output: Recognised }
  | { readonly status: "FAILED"; readonly startedMs: number; readonly endedMs: number; readonly error: string }
);

/** Largest body taken: what RunPod takes on /run, and a little for the fields around the input. */
const BODY_MAX_BYTES = 11 * 1024 * 1024;
/** Finished jobs are forgotten after this. */
const RETENTION_MS = 30 * 60_000;
const WORKER_ID = `ocr-${randomUUID().slice(0, 8)}`;

const key = process.env.OCR_WORKER_KEY;
if (key === undefined || key === "") {
  console.error("The OCR worker cannot start: set OCR_WORKER_KEY to the key that callers must send.");
  process.exit(1);
}
const expectedKey = Buffer.from(key);

const jobs = new Map<string, Job>();
const recogniser = await loadRecogniser();
/** The end of the line: each job begins when the one before it has ended, so one runs at a time. */
let lineEnd: Promise<void> = Promise.resolve();

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error("request failed:", error);
    if (!response.headersSent) send(response, 500, { error: "the worker failed" });
  });
});
server.listen(Number(process.env.PORT ?? 8788), "127.0.0.1", () => {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  console.log(`OCR worker ${WORKER_ID} is ready on http://127.0.0.1:${port}/v2/ocr`);
});
// "disconnect" comes only to a worker that another Node process started with a channel, when that process has ended.
for (const event of ["SIGINT", "SIGTERM", "disconnect"] as const) process.once(event, () => void stop());

async function stop(): Promise<void> {
  server.close();
  server.closeAllConnections();
  await recogniser.close();
  process.exit(0);
}

/** One request, by RunPod's routes. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? "/", "http://worker");
  const [route, id] = pathname.startsWith("/v2/ocr/") ? pathname.slice("/v2/ocr/".length).split("/") : [];
  if (!isAllowed(request.headers.authorization)) return send(response, 401, { error: "unauthorized" });
  if (route === "run" && request.method === "POST") return run(request, response);
  if (route === "health" && request.method === "GET") return send(response, 200, health());
  const job = id === undefined ? undefined : jobs.get(id);
  if (job === undefined) return send(response, 404, { error: "not found" });
  if (route === "status") return send(response, 200, view(job));
  if (route === "cancel" && request.method === "POST") return send(response, 200, view(cancel(job)));
  send(response, 404, { error: "not found" });
}

function isAllowed(authorization: string | undefined): boolean {
  const given = Buffer.from((authorization ?? "").replace(/^Bearer /, ""));
  return given.length === expectedKey.length && timingSafeEqual(given, expectedKey);
}

async function run(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request);
  if (body === null) return send(response, 413, { error: "the body is too large" });
  const input = readInput(body);
  if (input === undefined) return send(response, 400, { error: "the body must be a JSON object with an input" });
  forgetOld(Date.now());
  const job: Job = { id: `${randomUUID()}-u1`, input, submittedMs: Date.now(), status: "IN_QUEUE" };
  jobs.set(job.id, job);
  lineEnd = lineEnd.then(() => work(job.id));
  send(response, 200, { id: job.id, status: job.status });
}

/** Runs one job, unless it was cancelled while it waited. Never throws: what goes wrong is the job's failure. */
async function work(id: string): Promise<void> {
  const waiting = jobs.get(id);
  if (waiting?.status !== "IN_QUEUE") return;
  const startedMs = Date.now();
  const base = { id, input: null, submittedMs: waiting.submittedMs };
  jobs.set(id, { ...base, status: "IN_PROGRESS", startedMs });
  const ended = await recogniser.handle(waiting.input).then(
    (output) => ({ status: "COMPLETED" as const, output }),
    (error: unknown) => ({ status: "FAILED" as const, error: error instanceof Error ? error.message : String(error) }),
  );
  // A recognition cannot be interrupted, but a job that was cancelled meanwhile stays cancelled.
  if (jobs.get(id)?.status !== "IN_PROGRESS") return;
  jobs.set(id, { ...base, startedMs, endedMs: Date.now(), ...ended });
}

function cancel(job: Job): Job {
  if (job.status !== "IN_QUEUE" && job.status !== "IN_PROGRESS") return job;
  const { id, submittedMs } = job;
  const cancelled: Job = { id, input: null, submittedMs, status: "CANCELLED", endedMs: Date.now() };
  jobs.set(id, cancelled);
  return cancelled;
}

function forgetOld(nowMs: number): void {
  for (const [id, job] of jobs) {
    if ("endedMs" in job && job.endedMs + RETENTION_MS < nowMs) jobs.delete(id);
  }
}

/** A job as RunPod shows it; JSON leaves out what is undefined. */
function view(job: Job): object {
  return {
    delayTime: "startedMs" in job ? job.startedMs - job.submittedMs : undefined,
    executionTime: "startedMs" in job && "endedMs" in job ? job.endedMs - job.startedMs : undefined,
    id: job.id,
    output: job.status === "COMPLETED" ? job.output : undefined,
    error: job.status === "FAILED" ? job.error : undefined,
    status: job.status,
    workerId: "startedMs" in job ? WORKER_ID : undefined,
  };
}

function health(): object {
  const count = (status: Job["status"]) => [...jobs.values()].filter((job) => job.status === status).length;
  const running = count("IN_PROGRESS");
  return {
    jobs: {
      completed: count("COMPLETED"),
      failed: count("FAILED"),
      inProgress: running,
      inQueue: count("IN_QUEUE"),
      retried: 0,
    },
    workers: { idle: 1 - running, initializing: 0, ready: 1 - running, running, throttled: 0, unhealthy: 0 },
  };
}

/** The whole body, or null when it is larger than the worker takes. */
async function readBody(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request) {
    sizeBytes += chunk.length;
    // The rest is read and dropped, so that the answer reaches a caller that is still sending.
    if (sizeBytes <= BODY_MAX_BYTES) chunks.push(chunk);
  }
  return sizeBytes > BODY_MAX_BYTES ? null : Buffer.concat(chunks);
}

/** The `input` of a request; undefined when there is none. */
function readInput(body: Buffer): unknown {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    return typeof parsed === "object" && parsed !== null && "input" in parsed ? parsed.input : undefined;
  } catch {
    return undefined;
  }
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}
