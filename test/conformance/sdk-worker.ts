// The handlers of our own workers under test, the twins of those in worker.py: `sdk-worker.ts MODE [JOBS_AT_ONCE]`, and each job's input
// says what becomes of it.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, start, type WorkerConfig } from "../../src/sdk/worker.ts";
import { endWithRunner, isReleased, mark, noteRun } from "./sdk-marks.ts";

interface Input {
  readonly kind?: string;
  readonly name?: string;
  readonly count?: number;
}

endWithRunner();

async function plain(job: Job<Input>): Promise<unknown> {
  const { input } = job;
  switch (input.kind) {
    case "value":
      return { echo: input, é: [1, null, "ü"] };
    case "none":
      return undefined;
    case "true":
      return true;
    case "empty":
      return {};
    case "error":
      return { error: "soft failure", extra: 1 };
    case "error alone":
      return { error: "soft failure" };
    case "raise":
      throw new TypeError("boom é");
    case "nan":
      return { list: [1, Number.NaN] };
    case "bigint":
      return { items: [{ size: 1n }] };
    case "circle": {
      const circle: Record<string, unknown> = {};
      circle.next = { circle };
      return circle;
    }
    case "function":
      return { run: () => undefined };
    case "forms":
      return {
        at: new Date(0),
        bytes: new Uint8Array([1, 2, 255]),
        numbers: new Float32Array([0.5, 2]),
        none: undefined,
      };
    case "refresh":
      return { refresh_worker: true, x: 1 };
    case "progress":
      job.progress({ percent: 50 });
      while (!isReleased(input.name ?? "")) await sleep(50);
      return "done";
    default:
      throw new Error(`unknown kind ${input.kind}`);
  }
}

const CHUNKS = ["t1", { text: "t2" }, 3];

function* chunks(job: Job<Input>): Generator<unknown> {
  yield* CHUNKS;
  if (job.input.kind === "raise") throw new TypeError("broke off");
  if (job.input.kind === "error") yield { error: "no more" };
  if (job.input.kind === "nan") yield { x: Number.NaN };
}

async function* chunksAsync({ input }: Job<Input>): AsyncGenerator<unknown> {
  for (const chunk of CHUNKS) {
    await sleep(50);
    yield chunk;
  }
  if (input.kind === "large") yield "x".repeat(input.count ?? 0);
}

/** Nobody wakes who waits for this. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

let met = 0;

/** Ends when so many of these run at the same time. */
async function meet(count: number): Promise<unknown> {
  met += 1;
  for (const lastMs = Date.now() + 30_000; met < count && Date.now() < lastMs; ) await sleep(20);
  return { met };
}

/** Runs until the test says so, and tells the test what happens to it. */
async function hold(name: string, signal: AbortSignal): Promise<unknown> {
  mark(name, "started");
  while (!isReleased(name)) {
    await sleep(50);
    if (!signal.aborted) continue;
    mark(name, "cancelled");
    throw signal.reason;
  }
  mark(name, "ended");
  return "held";
}

/** SHA-256 of the input, as the client wrote it, after a quarter to one second. */
async function digest(input: unknown): Promise<unknown> {
  const sha256 = createHash("sha256").update(JSON.stringify(input)).digest("hex");
  await sleep(250 + (Number.parseInt(sha256.slice(0, 4), 16) / 65_536) * 750);
  return { sha256 };
}

/** Notes that it has begun, and runs until the test says so. If `count` is odd the event loop stands still meanwhile. */
async function noted({ id, input }: Job<Input>): Promise<unknown> {
  const { name = "", count = 0 } = input;
  noteRun(name, id);
  while (!isReleased(name)) {
    if (count % 2 === 0) await sleep(20);
    else Atomics.wait(NEVER, 0, 0, 20);
  }
  return { count };
}

function atOnce(job: Job<Input>): unknown {
  const { input, signal } = job;
  if (input.kind === "meet") return meet(input.count ?? 1);
  if (input.kind === "hold") return hold(input.name ?? "", signal);
  if (input.kind === "at once") return {};
  if (input.kind === "noted") return noted(job);
  // The event loop stands still, as with a model that computes on the main thread.
  if (input.kind === "compute") {
    for (const endMs = Date.now() + (input.count ?? 0); Date.now() < endMs; );
    return "computed";
  }
  return digest(input);
}

function configOf(mode: string, concurrency: number): WorkerConfig<Input> {
  switch (mode) {
    case "plain":
      return { handler: plain };
    case "refresh":
      return { handler: plain, refreshWorker: true };
    case "list":
      return { handler: chunks, returnAggregateStream: true };
    case "chunks":
      return { handler: chunksAsync };
    case "async":
      return { handler: atOnce, concurrency: () => concurrency };
    case "rules":
      return {
        handler: ({ input }) => input,
        input: {
          name: { type: "str" },
          steps: { type: "int", required: false, default: 4, constraints: (steps: number) => steps <= 8 },
        },
      };
    case "hook fails":
      return {
        handler: atOnce,
        prestart: () => {
          throw new RangeError("no GPU");
        },
      };
    default:
      throw new Error(`unknown mode ${mode}`);
  }
}

const [mode = "plain", concurrency = "1"] = process.argv.slice(2);
await start(configOf(mode, Number(concurrency)));
