// A job as clients see it, with its output spliced in raw.
import type { JobView } from "../../contract/job-view.ts";
import { fail } from "../../core/failure.ts";
import { statusParts } from "../../core/job/status-parts.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { PAYLOAD_INLINE_MAX_BYTES } from "../../core/limits.ts";
import { log } from "../../log.ts";
import { spliceBody } from "../../payload/splice.ts";
import { rawAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { Answered } from "../kit/route.ts";

/** Answers 200 with the status of a job. A large output streams from R2. */
export async function statusAnswer(c: RouteContext, job: JobView): Promise<Answered> {
  return splicedAnswer(c, statusParts(job));
}

/** Answers 200 with a list of jobs. Large outputs are left out: each can be read from the job's own status. */
export async function requestsAnswer(c: RouteContext, jobs: readonly JobView[]): Promise<Answered> {
  const parts: (string | PayloadRef)[] = ['{"requests":['];
  for (const [index, job] of jobs.entries()) {
    if (index > 0) parts.push(",");
    parts.push(...statusParts(isSmall(job.output) ? job : { ...job, output: null }));
  }
  return splicedAnswer(c, [...parts, "]}"]);
}

function isSmall(output: PayloadRef | null): boolean {
  return output !== null && output.kind === "inline" && output.bytes.byteLength <= PAYLOAD_INLINE_MAX_BYTES;
}

async function splicedAnswer(c: RouteContext, parts: (string | PayloadRef)[]): Promise<Answered> {
  const spliced = await spliceBody(parts, c.env.PAYLOADS);
  const requestId = c.get("requestId");
  if ("body" in spliced) {
    if (spliced.sent !== undefined) c.set("answering", spliced.sent);
    return rawAnswer(200, spliced.body, requestId);
  }
  if (spliced.kind === "missing") {
    log("payload_missing", { requestId, key: spliced.key });
    return fail({ kind: "unavailable", message: "the storage of large results (R2) does not have this result" });
  }
  log("payload_not_read", { requestId, error: spliced.message });
  return fail({ kind: "unavailable", message: "the storage of large results (R2) does not answer" });
}
