// The calls of a worker to what it works for, RunPod or Waybill (docs/wire.md 3). Each call ends in a value: an answer with its status,
// or the reason why there is none. What to do about it is decided by the callers.
import { fieldsOf, parseJson } from "../core/json/value.ts";
import { type WorkerEnvironment, withParameters } from "./environment.ts";

/** The answer of a call. `status` 0: there was none, and `text` gives the reason. */
export interface Answer {
  readonly status: number;
  readonly text: string;
  /** From `Retry-After`; null: it is not there, or no number. */
  readonly retryAfterMs: number | null;
}

/** The answer that takes a report. */
export const TAKEN: Answer = { status: 200, text: "", retryAfterMs: null };

/** A job as it was handed out, with whatever else came with it. */
export interface HandedJob {
  readonly id: string;
  readonly input: unknown;
  readonly [name: string]: unknown;
}

/** How long a poll is waited for: RunPod holds one for some 25 s, and its own SDK gives up after 90. */
const POLL_MAX_MS = 90_000;
/** How long a report is waited for. 20 MB take half a minute at 5 Mbit/s. */
const REPORT_MAX_MS = 120_000;
/** Characters of an answer that are of use: a poll's jobs are read whole. */
const TEXT_MAX_CHARS = 1_000;
/** Of a text in an address: servers take one of 8 to 16 KB, and each of these may be nine bytes of it. Waybill shows 300. */
const REASON_MAX_CHARS = 400;

export class WorkerApi {
  readonly #place: WorkerEnvironment;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(place: WorkerEnvironment, release: string) {
    this.#place = place;
    this.#headers = { authorization: place.key, "user-agent": `Waybill-Worker/${release}` };
  }

  /** Asks for jobs and waits until there are some. */
  take(wanted: number, isBusy: boolean, signal: AbortSignal): Promise<Answer> {
    const { takeUrl, takeBatchUrl } = this.#place;
    const busy = { job_in_progress: isBusy ? 1 : 0 };
    const url =
      wanted > 1 ? withParameters(takeBatchUrl, { batch_size: wanted, ...busy }) : withParameters(takeUrl, busy);
    return this.#call(url, { signal }, POLL_MAX_MS);
  }

  /** Asks which jobs are to stop, and waits until there are some. `url`: the address of that poll. */
  awaitStops(url: string, signal: AbortSignal): Promise<Answer> {
    return this.#call(url, { signal }, POLL_MAX_MS);
  }

  /** Reports a job's end, or its progress. `isStream`: its handler was a generator. */
  done(jobId: string, body: string, isStream = false): Promise<Answer> {
    return this.#post(withParameters(this.#place.doneUrl(jobId), { isStream: String(isStream) }), jobId, body);
  }

  /**
   * Sends a chunk of a generator. `url`: the address of the job's chunks. `number`: counts them from zero, so that a chunk
   * that is sent again is stored once; RunPod does not read it.
   */
  chunk(url: string, jobId: string, body: string, number: number): Promise<Answer> {
    return this.#post(withParameters(url, { isStream: "false", chunk: number }), jobId, body);
  }

  /** Reports that this worker cannot work, and why. */
  async unfit(check: string, reason: string): Promise<void> {
    const { pingUrl } = this.#place;
    if (pingUrl === null) return;
    const cut = { check: check.slice(0, REASON_MAX_CHARS), reason: reason.slice(0, REASON_MAX_CHARS) };
    await this.#call(withParameters(pingUrl, { status: "unhealthy", ...cut }), {}, 10_000);
  }

  #post(url: string, jobId: string, body: string): Promise<Answer> {
    // The type is the one that RunPod's SDK sends: its servers have never seen another one.
    const headers = { "content-type": "application/x-www-form-urlencoded", "x-request-id": jobId };
    return this.#call(url, { method: "POST", body, headers }, REPORT_MAX_MS);
  }

  async #call(url: string, init: RequestInit & { headers?: Record<string, string> }, maxMs: number): Promise<Answer> {
    // Both are taken back when the call is over: AbortSignal.any and AbortSignal.timeout keep a kilobyte for each call, for
    // as long as maxMs.
    const ending = new AbortController();
    const end = () => ending.abort(init.signal?.reason);
    const late = setTimeout(() => ending.abort(new DOMException("no answer in time", "TimeoutError")), maxMs).unref();
    init.signal?.addEventListener("abort", end);
    if (init.signal?.aborted === true) end();
    try {
      const response = await fetch(url, {
        ...init,
        headers: { ...this.#headers, ...init.headers },
        // Followed, a report would arrive as a GET without its body, and whatever answered that would seem to have taken it.
        redirect: "manual",
        signal: ending.signal,
      });
      // Jobs that are on their way belong to this worker: nobody else is told that they were not read.
      init.signal?.removeEventListener("abort", end);
      const text = textOf(response, await response.text());
      const retryAfter = Number(response.headers.get("retry-after") ?? Number.NaN);
      return { status: response.status, text, retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1_000 : null };
    } catch (error) {
      return { status: 0, text: reasonOf(error), retryAfterMs: null };
    } finally {
      clearTimeout(late);
      init.signal?.removeEventListener("abort", end);
    }
  }
}

/** Where a redirect leads is what an operator has to know of it. */
function textOf({ status, headers }: Response, text: string): string {
  const location = headers.get("location");
  return status >= 300 && status < 400 && location !== null ? `redirects to ${location}` : text;
}

/**
 * The jobs of a poll's answer; null: it is not one that hands out jobs, such as the page of a proxy. Of a list whose
 * elements are not all jobs, those that are.
 */
export function readJobs({ status, text }: Answer): readonly HandedJob[] | null {
  if (status !== 200) return null;
  const value = parsed(text);
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  const jobs = list.flatMap((each) => {
    const fields = fieldsOf(each);
    return fields !== null && typeof fields.id === "string" && "input" in fields
      ? [{ ...fields, id: fields.id, input: fields.input }]
      : [];
  });
  return list.length > 0 && jobs.length === 0 ? null : jobs;
}

/**
 * Unlike `parseJson` of the core this reads texts, too, that are made to be slow: refused, one job's input would take all jobs with it
 * that came by the same poll. Undefined: it is no JSON.
 */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The ids of jobs that are to stop. */
export function readStops({ status, text }: Answer): readonly string[] {
  const ids: unknown = status === 200 ? fieldsOf(parseJson(text))?.jobsToStop : null;
  return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
}

/** An answer in words, for a log. */
export function shownAnswer({ status, text }: Answer): string {
  const cut = text.length > TEXT_MAX_CHARS ? `${text.slice(0, TEXT_MAX_CHARS)}…` : text;
  return status === 0 ? cut : `${status} ${cut}`.trim();
}

/** fetch itself only reports that it failed; the cause has the reason. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : error.message;
}
