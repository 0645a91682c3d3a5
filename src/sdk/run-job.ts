// Runs the handler of one job to its end, sends what it streams, and gives the report of its end.
import { deliver } from "./delivery.ts";
import type { Job, WorkerConfig } from "./handler.ts";
import { type InputCheck, shownProblems } from "./input-check.ts";
import { jsonTextOf } from "./json-text.ts";
import type { Log } from "./log.ts";
import {
  errorOfChunk,
  type Report,
  type Reporter,
  reportOf,
  reportOfError,
  reportOfStream,
  reportOfThrown,
} from "./outcome.ts";
import { ProgressReports } from "./progress.ts";
import type { Answer, HandedJob } from "./worker-api.ts";

/** Takes what a job tells before its end: bodies as they are posted (docs/wire.md 3.4). */
export interface JobLine {
  readonly progress: (jobId: string, body: string) => Promise<unknown>;
  /** Null: chunks have no place. `number`: the chunk's place among those of the job, from zero. */
  readonly chunk: ((jobId: string, body: string, number: number) => Promise<Answer>) | null;
}

export interface JobRun {
  readonly config: WorkerConfig;
  readonly check: InputCheck;
  readonly line: JobLine;
  readonly reporter: Reporter;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Null: the job was stopped, or is not ours any more, so nobody waits for its end. */
export type Ended = { readonly report: Report; readonly isStream: boolean } | null;

/** The reason of a job's signal. */
export function stopReason(): DOMException {
  return new DOMException("the job was cancelled, or has run for too long", "AbortError");
}

export async function runJob(handed: HandedJob, run: JobRun): Promise<Ended> {
  const { config, reporter, signal } = run;
  const restarts = config.refreshWorker === true;
  const progress = new ProgressReports(
    (body) => run.line.progress(handed.id, body),
    () => run.log.warn("progress that is no JSON was not sent"),
  );
  let isStream = false;
  try {
    const checked = await run.check(handed.input);
    if (!checked.ok) return { report: reportOfError(shownProblems(checked), restarts), isStream };
    const job: Job = {
      ...handed,
      input: checked.input,
      signal,
      log: run.log,
      progress: (value) => progress.note(value),
    };
    const returned = await config.handler(job);
    const chunks = chunksOf(returned);
    isStream = chunks !== null;
    const report = chunks === null ? reportOf(returned, restarts) : await sendChunks(chunks, handed.id, run);
    return report === null || signal.aborted ? null : { report, isStream };
  } catch (error) {
    return signal.aborted ? null : { report: reportOfThrown(error, reporter, restarts), isStream };
  } finally {
    progress.end();
  }
}

type Chunks = AsyncIterator<unknown> | Iterator<unknown>;

/** The chunks of a generator; null: what was returned is a value. A list is a value, though it can be iterated, too. */
function chunksOf(returned: unknown): Chunks | null {
  if (typeof returned !== "object" || returned === null) return null;
  if (Symbol.asyncIterator in returned) return (returned as AsyncIterable<unknown>)[Symbol.asyncIterator]();
  const isGenerator = Object.prototype.toString.call(returned) === "[object Generator]";
  return isGenerator ? (returned as Generator<unknown>) : null;
}

/** Sends each chunk before the next one is asked for, so that a slow reader slows the handler. Null: nobody waits for more. */
async function sendChunks(chunks: Chunks, jobId: string, run: JobRun): Promise<Report | null> {
  const { config, signal, reporter } = run;
  const restarts = config.refreshWorker === true;
  const gathered: unknown[] = [];
  for (let at = 0; ; at += 1) {
    const next = await chunks.next();
    if (next.done === true) break;
    const report = signal.aborted ? null : await sendChunk(next.value, at, jobId, run);
    if (report !== "sent") {
      await chunks.return?.();
      return report;
    }
    if (config.returnAggregateStream === true) gathered.push(next.value);
  }
  return signal.aborted ? null : reportOfStream(gathered, restarts);

  async function sendChunk(chunk: unknown, at: number, id: string, { line, log }: JobRun) {
    const error = errorOfChunk(chunk);
    if (error !== null) return reportOf({ error }, restarts);
    const text = jsonTextOf(chunk, `chunk[${at}]`);
    if (!text.ok) return reportOfError(`${text.path} ${text.problem}`, restarts);
    const { chunk: send } = line;
    if (send === null) {
      const missing = new Error("RUNPOD_WEBHOOK_POST_STREAM is not set, so a generator has no place for its chunks");
      return reportOfThrown(missing, reporter, restarts);
    }
    const delivered = await deliver(() => send(id, `{"output":${text.text}}`, at), {
      log,
      isOver: () => signal.aborted,
    });
    if (delivered.kind === "taken") return "sent";
    return delivered.kind === "gone" ? null : reportOfError(`a chunk was refused: ${delivered.answer}`, restarts);
  }
}
