// What /run and /runsync do alike: headers, then body, then one call to the broker.
import { v7 as uuidv7 } from "uuid";
import { readConfig } from "../../config.ts";
import type { SubmitCall, Submitted } from "../../contract/broker.ts";
import type { Result } from "../../core/failure.ts";
import { ok } from "../../core/failure.ts";
import { makeJobId } from "../../core/job/id.ts";
import type { JobMode } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { RUN_BODY_MAX_BYTES, RUNSYNC_BODY_MAX_BYTES } from "../../core/limits.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import { bodyOf } from "../kit/request-body.ts";
import { readSubmitBody, type SubmitBody } from "../kit/submit-body.ts";
import { submitJob } from "../kit/submit-job.ts";
import { checkSubmitHeaders, readIdempotencyKey } from "./submit-headers.ts";

/** Reads the request and hands the job to the broker. A stored input that no job took is deleted. */
export async function submit(
  c: RouteContext,
  { caller, settings, broker }: EndpointCall,
  mode: JobMode,
  waitMs: number | null,
): Promise<Result<Submitted & { readonly input: PayloadRef }>> {
  const maxBytes = mode === "run" ? RUN_BODY_MAX_BYTES : RUNSYNC_BODY_MAX_BYTES;
  const headers = checkSubmitHeaders(c.req.raw.headers, maxBytes);
  if (!headers.ok) return headers;
  const idempotencyKey = readIdempotencyKey(c.req.raw.headers);
  if (!idempotencyKey.ok) return idempotencyKey;

  const jobId = makeJobId(uuidv7(), mode, settings.number);
  const body = await readSubmitBody(await bodyOf(c.req.raw), {
    bucket: c.env.PAYLOADS,
    key: `${settings.endpointId}/${jobId}/input-${c.get("requestId")}`,
    maxBytes,
    hash: idempotencyKey.value !== null,
    settings,
    // A client of a local broker may write any Host: it is believed for this request alone, and only to refuse.
    reach: { ...readConfig(c.env).reach, requestUrl: c.req.url },
  });
  if (!body.ok) return body;
  const call: SubmitCall = {
    tenantId: caller.tenantId,
    settingsVersion: settings.version,
    jobId,
    mode,
    input: body.value.input,
    fields: body.value.fields,
    policy: body.value.policy,
    webhook: body.value.webhook === null ? null : { url: body.value.webhook, sealedSecret: caller.sealedWebhookSecret },
    waitingMax: caller.waitingMax,
    waitMs,
    idempotency: toIdempotency(idempotencyKey.value, body.value),
    origin: null,
    carries: true,
  };
  const submitted = await submitJob(c.env, broker, call);
  return submitted.ok ? ok({ ...submitted.value, input: call.input }) : submitted;
}

function toIdempotency(key: string | null, body: SubmitBody): SubmitCall["idempotency"] {
  if (key === null) return null;
  if (body.sha256Hex === null) throw new Error("the body of a request with an Idempotency-Key was not hashed");
  return { key, fingerprint: body.sha256Hex };
}
