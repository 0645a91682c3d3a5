// Calls that a broker holds until there is news. A tenant with too many held calls is answered all the same, by calls
// made now and then that are not held.
import type { Result } from "../../core/failure.ts";
import { UNHELD_PAUSE_MS } from "../../core/limits.ts";

/** `ask` makes the call, with the time for which it may be held. */
export async function askHeld<T>(holdMs: number, ask: (holdMs: number) => Promise<Result<T>>): Promise<Result<T>> {
  const answer = await ask(holdMs);
  if (answer.ok || answer.failure.kind !== "too_many_held") return answer;
  await scheduler.wait(Math.min(holdMs, UNHELD_PAUSE_MS));
  return ask(0);
}
