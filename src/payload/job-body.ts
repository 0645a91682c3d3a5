// A job as its worker gets it: `{"id","input",…other fields}`, the input and the fields as their raw bytes.

import type { JobWork } from "../contract/job-request.ts";
import { openAiCallOf, originOf } from "../contract/openai-origin.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { openAiInput } from "../core/openai/request.ts";

/** Fields that are not copied from the job: Waybill itself calls `webhook`, so an upstream's call would be a second
 * one, and a hosted upstream gets a `policy` of its own. */
const KEPT_FIELDS = new Set(["id", "input", "webhook", "policy"]);

/** What a hosted upstream is sent beside the job: the policy as raw JSON, and the address to call back. */
interface HostedFields {
  readonly policy: string;
  readonly webhook: string | null;
}

/** The parts of the body, for spliceBody. */
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
