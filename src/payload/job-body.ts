// A job as its worker gets it: `{"id","input",…other fields}`, the input and the fields as their raw bytes.
import type { PayloadRef } from "../core/payload-ref.ts";

/** `webhook` and `policy` are between the client and Waybill: an upstream that called back would do it twice, and what of
 * the policy concerns a hosted one is said anew. */
const KEPT_FIELDS = new Set(["id", "input", "webhook", "policy"]);

/** The parts to splice. `policy`: raw JSON of what a hosted upstream is told of it. */
export function jobParts(
  job: { readonly jobId: string; readonly input: PayloadRef; readonly fields: Readonly<Record<string, string>> },
  policy: string | null = null,
): (string | PayloadRef)[] {
  const rest = Object.entries(job.fields)
    .filter(([name]) => !KEPT_FIELDS.has(name))
    .map(([name, raw]) => `,${JSON.stringify(name)}:${raw}`)
    .join("");
  const said = policy === null ? "" : `,"policy":${policy}`;
  return [`{"id":${JSON.stringify(job.jobId)},"input":`, job.input, `${said}${rest}}`];
}
