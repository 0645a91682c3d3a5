// The OpenAI routes of an endpoint, /v2/:endpoint/openai/v1/…: each request is a job like any other, and its own request
// carries it wherever a slot is free, so that the first token passes nothing but the edge.
import { v7 as uuidv7 } from "uuid";
import type { Submitted } from "../../contract/broker.ts";
import { openAiOrigin } from "../../contract/openai-origin.ts";
import { fail } from "../../core/failure.ts";
import { makeJobId } from "../../core/job/id.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { RUNSYNC_BODY_MAX_BYTES } from "../../core/limits.ts";
import type { OpenAiRequest } from "../../core/openai/request.ts";
import { allowsRoute, routesInForce } from "../../core/openai/routes.ts";
import { keepsNothing } from "../../core/openai/stored-responses.ts";
import { bodyProblem, targetProblem } from "../../core/openai/target.ts";
import type { BrokerClient } from "../../dispatch/broker-client.ts";
import { carryHere } from "../kit/carry-here.ts";
import { finishAnyway, keepAnswering, type RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import { bodyStreamOf } from "../kit/request-body.ts";
import type { Answered } from "../kit/route.ts";
import { submitJob } from "../kit/submit-job.ts";
import { ClientAnswer } from "./answer.ts";
import { type OpenAiBody, readOpenAiBody } from "./body.ts";
import { finishedAnswer } from "./output.ts";
import { waitForAnswer } from "./wait.ts";

/** HEAD brings no answer, and TRACE and CONNECT none of a worker's. */
const METHODS = new Set(["GET", "POST", "PUT", "PATCH", "DELETE"]);

/** Any request to an OpenAI server: it has more routes than OpenAI, and which of them are open is the endpoint's to say. */
export async function openAi(c: RouteContext, call: EndpointCall): Promise<Answered> {
  const { method } = c.req.raw;
  if (!METHODS.has(method)) {
    return fail({ kind: "method_not_allowed", allow: [...METHODS].join(", ") });
  }
  const { endpointId } = call.settings;
  const routes = routesInForce(call.settings);
  const { pathname, search } = new URL(c.req.raw.url);
  // "/v2/<endpoint>/openai" is what the client's base URL adds to the server's own path.
  const path = `/${pathname.split("/").slice(4).join("/")}`;
  // Whatever worker takes the job: of two kinds in one endpoint the one that has the route would be a matter of chance.
  if (!allowsRoute(routes, method, path)) return fail({ kind: "route_closed", method, path, endpointId });
  const type = c.req.raw.headers.get("content-type") ?? "application/json";
  const problem = targetProblem(path, search) ?? bodyProblem(method, bodyStreamOf(c.req.raw) === null ? null : type);
  if (problem !== null) return fail({ kind: "invalid", ...problem });
  const jobId = makeJobId(uuidv7(), "runsync", call.settings.number);
  const key = `${endpointId}/${jobId}/input-${c.get("requestId")}`;
  const limits = { bucket: c.env.PAYLOADS, key, maxBytes: RUNSYNC_BODY_MAX_BYTES };
  const body = await readOpenAiBody(c.req.raw, { ...limits, path, keepsNothing: keepsNothing(routes, path) });
  if (!body.ok) return body;
  const request = toRequest(method, path, search, body.value);
  return await finishAnyway(c, submitAndAnswer(c, call, { jobId, request, input: body.value.input }));
}

async function submitAndAnswer(c: RouteContext, call: EndpointCall, job: OpenAiJob): Promise<Answered> {
  const submitted = await submit(c, call, job);
  if (!submitted.ok) return submitted;
  return await answer(c, { broker: call.broker, tenantId: call.caller.tenantId, ...job }, submitted.value.claim);
}

function toRequest(method: string, path: string, query: string, body: OpenAiBody): OpenAiRequest {
  const { contentType, stream, hidesUsage } = body;
  return { method, path, query, contentType, stream, hidesUsage };
}

interface OpenAiJob {
  readonly jobId: string;
  readonly request: OpenAiRequest;
  readonly input: PayloadRef;
}

function submit(c: RouteContext, { caller, settings, broker }: EndpointCall, { jobId, request, input }: OpenAiJob) {
  return submitJob(c.env, broker, {
    tenantId: caller.tenantId,
    settingsVersion: settings.version,
    jobId,
    mode: "runsync",
    input,
    fields: {},
    policy: { executionTimeoutMs: null, ttlMs: null, lowPriority: false },
    webhook: null,
    waitingMax: caller.waitingMax,
    waitMs: null,
    idempotency: null,
    origin: openAiOrigin(request),
    carries: true,
  });
}

type Served = OpenAiJob & { readonly broker: BrokerClient; readonly tenantId: string };

/** The answer as soon as it has begun; the work goes on behind it, and ends with the client. */
async function answer(c: RouteContext, job: Served, claim: Submitted["claim"]): Promise<Response> {
  const client = new ClientAnswer(c, job.jobId);
  const work = serve(c, job, claim, client).catch(async (bug: unknown) => {
    // An answer that has begun would never end.
    await client.end(false);
    throw bug;
  });
  keepAnswering(c, work);
  const first = await Promise.race([client.begun, work]);
  return first ?? (await client.begun);
}

/** Null when the answer has begun, and by then it is over. */
async function serve(
  c: RouteContext,
  job: Served,
  claim: Submitted["claim"],
  client: ClientAnswer,
): Promise<Response | null> {
  if (claim !== null) {
    const carried = await carryHere(c, claim, job.input, client);
    // What broke off told so in its last event; only a lost lease ends without a word.
    await client.end(!carried.isLost);
    if (client.hasBegun) return null;
    if (carried.job !== null) return await finishedAnswer(c, job.request, carried.job, client.head);
  }
  return await waitForAnswer(c, job, client);
}
