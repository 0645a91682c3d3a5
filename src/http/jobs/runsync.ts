// POST /v2/:endpoint/runsync.

import { readWait } from "../../core/job/query.ts";
import { finishAnyway, type RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { submitJob } from "../kit/submit-job.ts";
import { RUNPOD } from "./dialect.ts";
import { syncAnswer } from "./sync-answer.ts";

/** The state of the job when it is over, or when the time of `?wait=` is. */
export async function runsync(c: RouteContext, call: EndpointCall): Promise<Answered> {
  const wait = readWait(c.req.url);
  return wait.ok ? finishAnyway(c, submitAndWait(c, call, wait.value)) : wait;
}

async function submitAndWait(c: RouteContext, call: EndpointCall, waitMs: number): Promise<Answered> {
  const submitted = await submitJob(c, call, RUNPOD, { mode: "runsync", waitMs });
  return submitted.ok ? syncAnswer(c, { ...call, ...submitted.value, waitMs }) : submitted;
}
