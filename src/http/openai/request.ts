// The OpenAI routes of an endpoint, /v2/:endpoint/openai/v1/…: each request is a job like any other, and the request
// itself carries the job wherever a slot is free, so that the first token passes nothing but the edge.
import type { Submitted } from "../../contract/broker.ts";
import { openAiCallOf } from "../../contract/openai-origin.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { carryHere } from "../kit/carry-here.ts";
import { finishAnyway, keepAnswering, type RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { submitJob } from "../kit/submit-job.ts";
import { ClientAnswer } from "./answer.ts";
import { OPENAI } from "./dialect.ts";
import { errorInBegun } from "./errors.ts";
import { finishedAnswer } from "./output.ts";
import { lookAt, type OpenAiWait, waitForAnswer } from "./wait.ts";

/** Any request to an OpenAI server: servers have more routes than OpenAI, and the endpoint decides which are open. */
export async function openAi(c: RouteContext, call: EndpointCall): Promise<Answered> {
  return await finishAnyway(c, submitAndAnswer(c, call));
}

async function submitAndAnswer(c: RouteContext, call: EndpointCall): Promise<Answered> {
  const submitted = await submitJob(c, call, OPENAI, { mode: "runsync", waitMs: null });
  if (!submitted.ok) return submitted;
  const { job, claim, wanted } = submitted.value;
  const request = openAiCallOf(wanted.origin);
  if (request === null) throw new Error("an OpenAI route has made a job of another origin");
  const { tenantId } = call.caller;
  return await answer(c, { broker: call.broker, tenantId, jobId: job.id, request, input: wanted.input }, claim);
}

interface Served extends OpenAiWait {
  readonly input: PayloadRef;
}

/** Returns the answer as soon as it has begun; the work goes on behind it, and ends when the client leaves. */
async function answer(c: RouteContext, job: Served, claim: Submitted["claim"]): Promise<Response> {
  const client = new ClientAnswer(c, job.jobId, job.request);
  const serving = serve(c, job, claim, client);
  const concluding = serving.then((response) => (response === null ? null : client.conclude(response)));
  const work = concluding.catch(async (bug: unknown) => {
    // Without this an answer that has begun would never end.
    await client.end(false);
    throw bug;
  });
  keepAnswering(c, work);
  const first = await Promise.race([client.begun, work]);
  return first ?? (await client.begun);
}

/** Null when the events of the answer went out by `client`; it is over when this resolves. */
async function serve(
  c: RouteContext,
  job: Served,
  claim: Submitted["claim"],
  client: ClientAnswer,
): Promise<Response | null> {
  if (claim !== null) {
    const carried = await carryHere(c, claim, job.input, client);
    if (client.hasBegun) {
      // An attempt that broke off by itself has sent that as its last event. Else the broker has ended the job (by a
      // cancel, at the end of its time, or because no renewal of its lease came), or a bug of ours has ended the attempt.
      if (carried.isLost) await client.fail(errorInBegun(await lookAt(job, 0)));
      else await client.end(true);
      return null;
    }
    if (carried.job !== null) return await finishedAnswer(c, job, carried.job, client.head);
  }
  return await waitForAnswer(c, job, client);
}
