// The dialect `openai`: a server with OpenAI's API gets the call as its client made it. RunPod endpoints that others
// host have such a route too, so their OpenAI jobs are sent in the same way.
import type { Outcome } from "../contract/dispatch.ts";
import { openAiCallOf } from "../contract/openai-origin.ts";
import { fieldSentence } from "../core/failure.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { OPENAI_IDLE_MS } from "../core/openai/limits.ts";
import { isBodiless, isEventsType, isJsonType } from "../core/openai/request.ts";
import { allowsRoute, closedRouteMessage } from "../core/openai/routes.ts";
import { bodyProblem, targetProblem } from "../core/openai/target.ts";
import type { CallResult } from "../outbound/call.ts";
import { hasLargeHeaders } from "../outbound/header-bytes.ts";
import { readValue } from "../payload/envelope.ts";
import type { Attempt } from "./attempt.ts";
import {
  type Answer,
  attemptFailed,
  classifyOpenAiStatus,
  classifyRead,
  rejected,
  type Suspicion,
} from "./classify.ts";
import { headOf } from "./openai-answer.ts";
import { runBytes } from "./openai-bytes.ts";
import type { OpenAiCall } from "./openai-call.ts";
import { runEvents } from "./openai-events.ts";
import { callWithUsageAsk } from "./usage-ask.ts";

/** Runs one attempt against the server at `base`, with or without its `/v1`; null when the lease was lost meanwhile. */
export async function runOpenAi(attempt: Attempt, base: string): Promise<Outcome | Suspicion | null> {
  const asked = await callWithUsageAsk(attempt, (call) => send(attempt, base, call));
  if ("ended" in asked) return asked.ended;
  return attempt.takeAnswer(asked.result, classifyAnswer, async (answer) => {
    if (isBodiless(answer.status)) return takeHead(attempt, answer, null);
    const type = answer.headers.get("content-type") ?? "application/json";
    if (isEventsType(type)) return await runEvents(attempt, answer, asked.call);
    return await (isJsonType(type) ? runJson(attempt, answer) : runBytes(attempt, answer));
  });
}

/** Calls the server, unless the endpoint or the guard of calls would not let this call through. */
async function send(
  attempt: Attempt,
  base: string,
  call: OpenAiCall,
): Promise<CallResult | { readonly ended: Outcome }> {
  const target = targetOf(base.replace(/\/v1$/, ""), call.target);
  const refusal = target === null ? OUTSIDE : refusalOf(attempt, call, target);
  if (target === null || refusal !== null) return { ended: refusal ?? OUTSIDE };
  return await attempt.call({
    url: target.url,
    baseUrl: base,
    method: call.method,
    headers: headersOf(call),
    idleMs: OPENAI_IDLE_MS,
    ...(call.body === null
      ? {}
      : { body: call.body, contentLength: call.sizeBytes, provable: isJsonType(call.contentType) }),
  });
}

const OUTSIDE = rejected("invalid_request", "input.openai_route: leads out of the server's own path");

function refusalOf(
  { assignment: { origin, endpointId, openaiRoutes } }: Attempt,
  call: OpenAiCall,
  target: { readonly path: string; readonly query: string },
): Outcome | null {
  const isOwn = openAiCallOf(origin) === null;
  const problem = targetProblem(target.path, target.query) ?? bodyProblem(call.method, call.contentType);
  if (problem !== null) {
    return rejected("invalid_request", isOwn ? `input.openai_route: ${problem.message}` : fieldSentence(problem));
  }
  // Checked again here, and a `/run` job's route for the first time: the list may have changed while the job waited.
  const route = { method: call.method, path: target.path, endpointId };
  if (allowsRoute(openaiRoutes, route.method, route.path)) return null;
  return rejected("route_closed", `${isOwn ? "input.openai_route: " : ""}${closedRouteMessage(route)}`);
}

async function classifyAnswer(answer: Answer, nowMs: number): Promise<Outcome | Suspicion | null> {
  // Some of these headers go on to the client.
  if (hasLargeHeaders(answer.headers))
    return attemptFailed("bad_answer", "the upstream broke HTTP: its headers are too large");
  return await classifyOpenAiStatus(answer, nowMs);
}

function headersOf({ contentType, stream, headers }: OpenAiCall): Record<string, string> {
  const accept = stream ? "text/event-stream" : "*/*";
  return { ...headers, accept, ...(contentType === null ? {} : { "content-type": contentType }) };
}

async function runJson(attempt: Attempt, answer: Answer): Promise<Outcome | null> {
  const read = await readValue(answer.body, attempt.resultOptions());
  if (read.kind !== "ok") {
    if (read.kind === "bad_json" && answer.body.bytesRead === 0)
      return attemptFailed("bad_answer", "the upstream's answer is empty");
    return classifyRead(read, answer, attempt.isOver());
  }
  return takeHead(attempt, answer, read.payload);
}

/** An answer that its client gets when it is whole. */
function takeHead({ client }: Attempt, answer: Answer, output: PayloadRef | null): Outcome {
  if (client !== null) client.head = headOf(answer);
  return { kind: "completed", output };
}

/**
 * The address of a path of the server, and that path as sent, without its query; null outside of the server's own path,
 * where a job must not direct the operator's credential. The URL parser resolves dots, escaped dots and backslashes.
 */
function targetOf(root: string, target: string) {
  const [whole, below] = [URL.parse(`${root}${target}`), URL.parse(`${root}/`)];
  // The guard of calls refuses an invalid address, so it is passed on here.
  if (whole === null || below === null)
    return { url: `${root}${target}`, path: target.replace(/\?.*$/s, ""), query: "" };
  if (!whole.href.startsWith(below.href)) return null;
  return { url: whole.href, path: whole.pathname.slice(below.pathname.length - 1), query: whole.search };
}
