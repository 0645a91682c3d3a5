// Counts the calls of clients' routes, by key or token, endpoint and operation, in the memory of this isolate: a deployment has
// several, and each counts for itself. A call that is one too many is refused before its body is read and before any
// object is called, so that a flood costs its tenant's broker nothing.
import { CallCounts, limitOf } from "../../core/access/call-counts.ts";
import type { Operation } from "../../core/access/limits.ts";
import { fail, type Result } from "../../core/failure.ts";
import type { ReadKey } from "./auth.ts";
import type { RouteContext } from "./context.ts";
import type { EndpointCall } from "./enter.ts";

const counts = new CallCounts();

/** `more`: how the route finds who calls, where it is not by a key alone. */
type Enter<Entered, More extends readonly unknown[]> = (
  c: RouteContext,
  readKey: ReadKey,
  ...more: More
) => Promise<Result<Entered>>;

/** Lets in as `enter` does, as long as the key may make further calls of the operation. */
export function counted<Entered extends EndpointCall, More extends readonly unknown[]>(
  operation: Operation,
  enter: Enter<Entered, More>,
): Enter<Entered, More> {
  return async (c, readKey, ...more) => {
    const entered = await enter(c, readKey, ...more);
    if (!entered.ok) return entered;
    const { caller, settings } = entered.value;
    const limit = limitOf(operation, caller.limits);
    // A token that leaks must not use up what the key's other visitors may do.
    const keyId = caller.token?.id ?? caller.keyId;
    const taken = counts.take({ keyId, endpointId: settings.endpointId, operation, limit }, Date.now());
    c.set("counted", taken);
    if (taken.refusal !== null) return fail({ kind: "calls_limited", operation, ...taken.refusal });
    // The platform may end the invocation of a client that leaves before any other code of it runs.
    if (limit.open !== null) c.req.raw.signal.addEventListener("abort", taken.leave);
    return entered;
  };
}

/** Adds what is left of the quota to the answer of a counted call, which is over when all of its answer has been sent. */
export function answerCounted(c: RouteContext, response: Response): Response {
  const taken = c.get("counted");
  if (taken === undefined) return response;
  response.headers.set("ratelimit-policy", taken.policy);
  response.headers.set("ratelimit", taken.rest);
  const answering = c.get("answering");
  if (answering === undefined) taken.leave();
  else answering.then(taken.leave, taken.leave);
  return response;
}
