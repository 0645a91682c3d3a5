// A job as its worker gets it: `{"id","input",…other fields}`, the input and the fields as their raw bytes.

import type { JobWork } from "../contract/job-request.ts";
import { openAiCallOf, originOf } from "../contract/openai-origin.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { openAiInput } from "../core/openai/request.ts";

/** `webhook` and `policy` are between the client and Waybill: an upstream that called back would do it twice, and what of
 * the policy concerns a hosted one is said anew. */
const KEPT_FIELDS = new Set(["id", "input", "webhook", "policy"]);

/** What a hosted upstream is told beside the job: raw JSON of the policy, and where to call back. */
interface HostedFields {
  readonly policy: string;
  readonly webhook: string | null;
}

/** The parts to splice. */
export function jobParts(
  job: JobWork & { readonly jobId: string },
  hosted: HostedFields | null = null,
): (string | PayloadRef)[] {
  const rest = Object.entries(job.fields)
    .filter(([name]) => !KEPT_FIELDS.has(name))
    .map(([name, raw]) => `,${JSON.stringify(name)}:${raw}`)
    .join("");
  const webhook = hosted === null || hosted.webhook === null ? "" : `,"webhook":${JSON.stringify(hosted.webhook)}`;
  const hostedFields = hosted === null ? "" : `,"policy":${hosted.policy}${webhook}`;
  const call = openAiCallOf(originOf(job));
  const input = call === null ? [job.input] : openAiInput(call, job.input);
  return [`{"id":${JSON.stringify(job.jobId)},"input":`, ...input, `${hostedFields}${rest}}`];
}
