// Submits a job to the broker, whatever API its client speaks. A stored input that no job took is deleted.
import { v7 as uuidv7 } from "uuid";
import type { Submitted } from "../../contract/broker.ts";
import type { Caller } from "../../contract/identity.ts";
import { openAiCallOf } from "../../contract/openai-origin.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { makeJobId } from "../../core/job/id.ts";
import type { JobMode } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { log } from "../../log.ts";
import { deletePayload } from "../../payload/store.ts";
import type { ClientDialect, WantedJob } from "./client-dialect.ts";
import type { RouteContext } from "./context.ts";
import type { EndpointCall } from "./enter.ts";

/** A job that the broker has, and the request that it was made from. */
export interface SubmittedJob extends Submitted {
  readonly wanted: WantedJob;
}

/** Reads the request and hands the job to the broker. `waitMs`: how long a client of /runsync waits for it. */
export async function submitJob(
  c: RouteContext,
  call: EndpointCall,
  { readJob }: ClientDialect,
  { mode, waitMs }: { readonly mode: JobMode; readonly waitMs: number | null },
): Promise<Result<SubmittedJob>> {
  const { caller, settings, broker } = call;
  const jobId = makeJobId(uuidv7(), mode, settings.number);
  const key = `${settings.endpointId}/${jobId}/input-${c.get("requestId")}`;
  const read = await readJob(c, call, { mode, key });
  if (!read.ok) return read;
  const { webhookUrl, refusal, ...wanted } = read.value;
  if (refusal !== undefined) return findRepeated(call, read.value, refusal);
  const { token } = caller;
  const submitted = await broker.call("submit", {
    ...wanted,
    idempotency: ofToken(wanted.idempotency, caller),
    token,
    request: openAiCallOf(wanted.origin),
    tenantId: caller.tenantId,
    settingsVersion: settings.version,
    jobId,
    mode,
    waitMs,
    webhook: webhookUrl === null ? null : { url: webhookUrl, sealedSecret: caller.sealedWebhookSecret },
    waitingMax: caller.waitingMax,
    bound: caller.bound,
    carries: true,
  });
  if (!isTaken(submitted, jobId)) await dropInput(wanted.input, c.env.PAYLOADS);
  return submitted.ok ? ok({ ...submitted.value, wanted: read.value }) : submitted;
}

/** The job that the same request has made before; nothing of a refused one is stored, so that nothing is left behind. */
async function findRepeated(
  { caller, broker }: EndpointCall,
  wanted: WantedJob,
  refusal: Failure,
): Promise<Result<SubmittedJob>> {
  const idempotency = ofToken(wanted.idempotency, caller);
  if (idempotency === null) return fail(refusal);
  const found = await broker.call("findRepeated", { tenantId: caller.tenantId, idempotency });
  if (found.ok) return ok({ ...found.value, wanted });
  const { kind } = found.failure;
  return kind === "not_found" || kind === "idempotency_mismatch" ? fail(refusal) : found;
}

/** A visitor's key finds what the same token has submitted, nothing of its tenant: a space is in no key that is sent. */
function ofToken(sent: WantedJob["idempotency"], { token }: Caller): WantedJob["idempotency"] {
  return sent === null || token === undefined ? sent : { ...sent, key: `${token.id} ${sent.key}` };
}

/** May the broker hold the input stored for this id? If it did not answer, it may: a sweep then decides later. */
function isTaken(submitted: Result<Submitted>, jobId: string): boolean {
  if (submitted.ok) return submitted.value.job.id === jobId;
  return submitted.failure.kind === "unavailable";
}

/** Deletes an input that no job took. When R2 does not answer, the bucket's lifecycle rule deletes it later. */
export async function dropInput(input: PayloadRef, bucket: R2Bucket): Promise<void> {
  try {
    await deletePayload(input, bucket);
  } catch (error) {
    log("input_not_deleted", { error: String(error) });
  }
}
