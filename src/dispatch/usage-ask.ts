// Asks an OpenAI server for the usage of a stream in its client's name. Some servers refuse the field for that, which
// the client has not sent: the request is then made once more without it, as the client would have made it.
import type { Outcome } from "../contract/dispatch.ts";
import type { CallResult } from "../outbound/call.ts";
import type { Attempt } from "./attempt.ts";
import { makeOpenAiCall, type OpenAiCall } from "./openai-call.ts";
import { UpstreamFacts } from "./upstream-facts.ts";

/** Long, because each request after it costs a server that refuses the field a call in vain, and finite, because servers are upgraded. */
const KNOWN_MS = 3_600_000;
/** Statuses by which servers refuse a field that they do not know. */
const REFUSALS: ReadonlySet<number> = new Set([400, 422]);

const refusing = new UpstreamFacts(KNOWN_MS);

/** A call and its result, or how the attempt ends without one. */
type Asked = { readonly call: OpenAiCall; readonly result: CallResult } | { readonly ended: Outcome };

/** Makes the job's call by `send`, which may refuse it: at most twice, and the second time without the field. */
export async function callWithUsageAsk(
  attempt: Attempt,
  send: (call: OpenAiCall) => Promise<CallResult | { readonly ended: Outcome }>,
): Promise<Asked> {
  const { assignment, deps } = attempt;
  const first = await makeAndSend(attempt, !refusing.holds(assignment, deps.clock.now()), send);
  if ("ended" in first || !first.call.asksUsage || first.result.kind !== "response") return first;
  // Also where the server has taken the field before: behind one address models may differ.
  if (!REFUSALS.has(first.result.status)) return first;
  first.result.close();
  const second = await makeAndSend(attempt, false, send);
  const isTaken = "result" in second && second.result.kind === "response" && second.result.status < 300;
  if (isTaken) refusing.note(assignment, deps.clock.now());
  return second;
}

async function makeAndSend(
  attempt: Attempt,
  mayAsk: boolean,
  send: (call: OpenAiCall) => Promise<CallResult | { readonly ended: Outcome }>,
): Promise<Asked> {
  const call = await makeOpenAiCall(attempt, mayAsk);
  if ("ended" in call) return call;
  const result = await send(call);
  return "ended" in result ? result : { call, result };
}
