// What a client may send about a job: the work, and the shapes of `policy`, `webhook` and `s3Config`.
import * as z from "zod";
import type { Origin } from "../core/job/origin.ts";
import { rangeRule } from "../core/job/request-fields.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { EXECUTION_TIMEOUT_MIN_MS, POLICY_MAX_MS, TTL_MIN_MS } from "../core/limits.ts";
import type { OpenAiRequest } from "../core/openai/request.ts";

/** The work of a job, as its client has sent it. */
export interface JobWork {
  /** The client's `input`; where `origin` has a call in another API than RunPod's, the body of that call. */
  readonly input: PayloadRef;
  /** Every other top-level field, name → raw JSON text, which is passed on to the worker as it came. */
  readonly fields: Readonly<Record<string, string>>;
  readonly origin: Origin | null;
  /** The call of `origin`, in the place where the release before this one looks for it (openai-origin.ts). */
  readonly request?: OpenAiRequest | null;
}

/** Milliseconds as a JSON integer between two bounds, with one error message for every other value. */
function milliseconds(minMs: number) {
  const error = rangeRule(minMs);
  return z.int({ error }).min(minMs, { error }).max(POLICY_MAX_MS, { error }).optional();
}

/** `policy` of a job. Unknown keys are ignored: RunPod adds some now and then. */
const policySchema = z.object(
  {
    executionTimeout: milliseconds(EXECUTION_TIMEOUT_MIN_MS),
    ttl: milliseconds(TTL_MIN_MS),
    lowPriority: z.boolean({ error: "must be true or false" }).optional(),
  },
  { error: "must be an object" },
);

/** The known fields of a request beside `input`, for descriptions: core/job/request-fields.ts reads them. */
export const jobRequestSchema = z.object({
  policy: policySchema.optional(),
  webhook: z.string({ error: "must be a URL" }).min(1, { error: "must be a URL" }).nullable().optional(),
  s3Config: z.record(z.string(), z.unknown(), { error: "must be an object" }).optional(),
});

/** The body of `POST /v1/admin/configure`. */
export const configureRequestSchema = z
  .strictObject({ endpointId: z.string({ error: "must be the id of an endpoint" }).min(1).max(200) })
  .meta({ id: "ConfigureRequest" });
export type ConfigureRequest = z.infer<typeof configureRequestSchema>;
