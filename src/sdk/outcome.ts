// What becomes of the end of a handler: the body of its `job-done`, as RunPod's SDK writes it (docs/wire.md 3.4).
import { fieldsOf } from "../core/json/value.ts";
import { jsonTextOf } from "./json-text.ts";

/** A report of a job's end. */
export interface Report {
  /** JSON text. */
  readonly body: string;
  /** The job has failed. */
  readonly isFailure: boolean;
}

/** Who reports, for the text of an error. */
export interface Reporter {
  readonly workerId: string;
  readonly hostname: string;
  readonly release: string;
}

/**
 * The report of what a handler has returned. A member `error` makes it a failure, and `refresh_worker: true` asks for a restart of the
 * worker; the other members are the output. An object without members is no output.
 */
export function reportOf(returned: unknown, wantsRestart: boolean): Report {
  const fields = isPlain(returned) ? fieldsOf(returned) : null;
  if (fields === null) return written({ output: returned }, null, wantsRestart, null);
  const { error, refresh_worker: refresh, ...output } = fields;
  const hasOutput = Object.keys(output).length > 0;
  const failure = isEmpty(error) ? null : error;
  return written(hasOutput ? { output } : {}, fields, wantsRestart || refresh === true, failure);
}

/** The report of the list of chunks, or of a stream whose chunks are all sent. */
export function reportOfStream(chunks: readonly unknown[], wantsRestart: boolean): Report {
  return written({ output: chunks }, null, wantsRestart, null);
}

/** The report of what a handler has thrown: JSON text with the members of RunPod's SDK. */
export function reportOfThrown(
  thrown: unknown,
  { workerId, hostname, release }: Reporter,
  wantsRestart = false,
): Report {
  const error = thrown instanceof Error ? thrown : null;
  const text = JSON.stringify({
    error_type: error?.name ?? typeof thrown,
    error_message: shownThrown(thrown),
    error_traceback: error?.stack ?? "",
    hostname,
    worker_id: workerId,
    sdk_version: release,
  });
  return reportOfError(text, wantsRestart);
}

/** The report of an error in words. */
export function reportOfError(error: string, wantsRestart = false): Report {
  return { body: JSON.stringify({ error, ...(wantsRestart && { stopPod: true }) }), isFailure: true };
}

/** The body that shows a client how far a job is. Null: the value has no JSON, or its own `toJSON` throws. */
export function progressBody(progress: unknown): string | null {
  try {
    const written = jsonTextOf(progress, "progress");
    return written.ok ? `{"status":"IN_PROGRESS","output":${written.text}}` : null;
  } catch {
    return null;
  }
}

/** The error in a chunk, which ends a stream; null: it is a chunk like any other. */
export function errorOfChunk(chunk: unknown): unknown {
  const error = isPlain(chunk) ? fieldsOf(chunk)?.error : null;
  return isEmpty(error) ? null : error;
}

/** `whole`: the object whose other members are the output. */
function written(
  output: { readonly output?: unknown },
  whole: object | null,
  wantsRestart: boolean,
  failure: unknown,
): Report {
  const parts: string[] = [];
  if ("output" in output) {
    const text = jsonTextOf(output.output, "output", whole);
    if (!text.ok) return reportOfError(`${text.path} ${text.problem}`, wantsRestart);
    parts.push(`"output":${text.text}`);
  }
  if (failure !== null) {
    const text = jsonTextOf(failure, "error");
    parts.push(`"error":${text.ok ? text.text : JSON.stringify(`${text.path} ${text.problem}`)}`);
  }
  if (wantsRestart) parts.push('"stopPod":true');
  return { body: `{${parts.join()}}`, isFailure: failure !== null };
}

/** What Python takes for no error. */
function isEmpty(error: unknown): boolean {
  return error === undefined || error === null || error === "" || error === false || error === 0;
}

/** An object of members, and no Date, Map, list of bytes or the like. */
function isPlain(value: unknown): boolean {
  if (fieldsOf(value) === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

/** Whatever an author's code may throw, in words. */
export function shownThrown(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message;
  try {
    return String(thrown);
  } catch {
    return "an object without a text";
  }
}
