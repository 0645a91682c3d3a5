// The reports of a pulling worker: job-done, with a result or with progress. Bodies are JSON whatever their type header
// is; outputs stream past (docs/wire.md 3.4). The SDK drops a result after any 2xx or 4xx and sends it again after 5xx.
import type { ReportReply } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import type { AttemptOutcome } from "../../core/job/event.ts";
import { failed } from "../../core/job/failure.ts";
import { readStartFailure } from "../../core/job/start-failure.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { parseJson } from "../../core/json/value.ts";
import { ENVELOPE_FIELDS_MAX_BYTES, PROGRESS_MAX_BYTES, RESULT_MAX_BYTES } from "../../core/limits.ts";
import { OutputTap } from "../../core/openai/output-usage.ts";
import { mayReportStart } from "../../core/scheduling/sdk-version.ts";
import { attemptFailed, errorText, rejected, textOfCutString } from "../../dispatch/classify.ts";
import { type Envelope, type ReadFailure, readEnvelope } from "../../payload/envelope.ts";
import { deletePayload } from "../../payload/store.ts";
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";
import { readVersion, type WorkerJobEntry } from "./auth.ts";
import { workerBodyOf } from "./body.ts";
import { gatherChunks } from "./stream.ts";

/** Takes the end of an attempt, or the progress that its handler reports while it runs. */
export async function done(c: RouteContext, entry: WorkerJobEntry): Promise<Answered> {
  const { worker, broker, jobId } = entry;
  // Each post has a key of its own, because only the broker decides which of two reports wins.
  const key = `${broker.endpointId}/${jobId}/${c.get("requestId")}/output`;
  const tap = new OutputTap();
  const read = await readEnvelope(await workerBodyOf(c.req.raw), {
    bigField: "output",
    tap: (view) => tap.push(view),
    bucket: c.env.PAYLOADS,
    key,
    maxBytes: RESULT_MAX_BYTES,
    fieldsMaxBytes: ENVELOPE_FIELDS_MAX_BYTES,
    cutField: "error",
    lenientNumbers: true,
  });
  if (read.kind === "ok" && isProgress(read)) return progress(c, entry, read.big);
  const judged = read.kind === "ok" ? await toOutcome(c, entry, read, { key, tap }) : judgeUnreadable(read);
  if (!judged.ok) return judged;
  const outcome = judged.value;
  const refresh = read.kind === "ok" && parseJson(fieldOf(read, "stopPod") ?? "null") === true;
  const reply = await broker.call("report", { ...worker, jobId, outcome, refresh });
  const isKept = reply.ok && reply.value === "accepted";
  // If the broker did not answer, its row may still name the output; the bucket's lifecycle rule decides then.
  if (reply.ok && !isKept && "output" in outcome) await drop(c, outcome.output);
  return answer(c, reply);
}

function isProgress(read: Envelope): boolean {
  return parseJson(fieldOf(read, "status") ?? "null") === "IN_PROGRESS";
}

/** A large progress went to R2 on its way and is not shown: progress is for people, and the next one replaces it. */
async function progress(
  c: RouteContext,
  { worker, broker, jobId }: WorkerJobEntry,
  output: PayloadRef | null,
): Promise<Answered> {
  const isSmall = output?.kind === "inline" && output.bytes.byteLength <= PROGRESS_MAX_BYTES;
  if (!isSmall) await drop(c, output);
  const bytes = isSmall ? output.bytes : new TextEncoder().encode("null");
  return answer(c, await broker.call("progress", { ...worker, jobId, output: bytes }));
}

/** Answers 200 to a late or repeated report too: the SDK would log an error, and the handler made none. */
function answer(c: RouteContext, reply: Result<ReportReply>): Answered {
  if (!reply.ok) return reply;
  if (reply.value === "unknown_job") return fail({ kind: "not_found", what: "job" });
  return jsonAnswer(200, { accepted: reply.value === "accepted" }, c.get("requestId"));
}

async function toOutcome(
  c: RouteContext,
  entry: WorkerJobEntry,
  read: Envelope,
  { key, tap }: { readonly key: string; readonly tap: OutputTap },
): Promise<Result<AttemptOutcome>> {
  const error = fieldOf(read, "error");
  if (error !== undefined && error !== "null") {
    const start = mayReportStart(readVersion(c.req.raw.headers)) ? readStartFailure(textOf(error)) : null;
    if (start !== null) return ok({ kind: "start_failed", start });
    return ok({ kind: "handler_error", failure: failed("handler_error", errorText(error)), output: read.big });
  }
  // Without `return_aggregate_stream` a generator ends with an empty list, and its chunks are the output.
  const isBareEnd = entry.query.get("isStream") === "true" && isEmptyList(read.big);
  if (!isBareEnd) return ok(completed(read.big, tap));
  const chunkTap = new OutputTap();
  const gathered = await gatherChunks(c.env, entry, key, (view) => chunkTap.push(view));
  if (gathered.ok) return ok(completed(gathered.value, chunkTap));
  // The worker does not hold the job any more, and the answer to its report will state that.
  return gathered.failure.kind === "not_found" ? ok({ kind: "completed", output: null }) : gathered;
}

function completed(output: PayloadRef | null, tap: OutputTap): AttemptOutcome {
  // The broker has the length of the prompt, which an estimate of the tokens needs.
  const { tokens, error } = tap.facts(0);
  return { kind: "completed", output, tokens, errorIfOpenAi: error };
}

/** The whole text of an error, or the part of it that was read. */
function textOf(raw: string): string {
  const value = parseJson(raw);
  return typeof value === "string" ? value : value === undefined ? textOfCutString(raw) : raw;
}

function isEmptyList(output: PayloadRef | null): boolean {
  return output?.kind === "inline" && new TextDecoder().decode(output.bytes) === "[]";
}

/** A result that cannot be taken still ends its attempt, because the worker will not send another one. */
function judgeUnreadable(read: ReadFailure): Result<AttemptOutcome> {
  switch (read.kind) {
    case "too_large":
      return ok(rejected("answer_too_large", `the result is larger than ${RESULT_MAX_BYTES / 1024 / 1024} MiB`));
    case "fields_too_large":
      return ok(attemptFailed("bad_answer", "the worker's result has too much beside its output"));
    case "bad_json":
    case "not_object":
      return ok(attemptFailed("bad_answer", `the worker's result is not valid: ${read.message}`));
    case "read_failed":
      return fail({ kind: "invalid", field: "body", message: read.message });
    case "storage_failed":
      return fail({ kind: "unavailable", message: "the storage of large results (R2) does not answer" });
  }
}

async function drop(c: RouteContext, output: PayloadRef | null): Promise<void> {
  if (output !== null) await deletePayload(output, c.env.PAYLOADS).catch(() => undefined);
}

function fieldOf(read: Envelope, name: string): string | undefined {
  return Object.hasOwn(read.fields, name) ? read.fields[name] : undefined;
}
