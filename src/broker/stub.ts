// How the edge calls the broker of an endpoint. A call that failed because the object was replaced
// is made again on a fresh stub: after a reset the old stub stays broken.
import type { BrokerApi } from "../contract/broker.ts";
import type { Result } from "../core/failure.ts";
import { fail, ok } from "../core/failure.ts";
import { brokerOf } from "../dispatch/keeper.ts";
import { log } from "../log.ts";

/** A replaced object answers again within tens of milliseconds; the RunPod client gives `/run` three seconds. */
const TRIES_MAX = 5;
const PAUSE_BASE_MS = 50;

/**
 * Makes one call to the broker of an endpoint. An idempotent call is made again when the platform says that this is
 * safe, and never when the object is overloaded. What stays down is `unavailable`; errors of the broker's own code throw.
 */
export async function callBroker<T>(
  env: Env,
  endpointId: string,
  call: (broker: BrokerApi) => Promise<T>,
  options: { readonly idempotent: boolean },
): Promise<Result<T>> {
  const triesMax = options.idempotent ? TRIES_MAX : 1;
  for (let tryNumber = 1; ; tryNumber += 1) {
    try {
      return ok(await call(brokerOf(env, endpointId)));
    } catch (error) {
      const trouble = platformTrouble(error);
      if (trouble === null) throw error;
      log("broker_call_failed", { endpointId, trouble, tryNumber });
      if (trouble === "overloaded") return fail({ kind: "unavailable", message: "the endpoint is overloaded" });
      if (tryNumber >= triesMax) return fail({ kind: "unavailable", message: "the endpoint did not answer" });
      await scheduler.wait(PAUSE_BASE_MS * 2 ** (tryNumber - 1) * (0.5 + Math.random() / 2));
    }
  }
}

/** What the platform says of a failed call; null when the error is not the platform's. */
function platformTrouble(error: unknown): "overloaded" | "reset" | "retryable" | null {
  if (typeof error !== "object" || error === null) return null;
  if ("overloaded" in error && error.overloaded === true) return "overloaded";
  if ("durableObjectReset" in error && error.durableObjectReset === true) return "reset";
  if ("retryable" in error && error.retryable === true) return "retryable";
  return null;
}
