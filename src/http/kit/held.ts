// Questions that a broker holds until there is news. A tenant that has too many of them is answered all the same, by asking
// now and then without being held.
import type { Result } from "../../core/failure.ts";
import { UNHELD_PAUSE_MS } from "../../core/limits.ts";

/** `ask` puts the question with the time that it may be held. */
export async function askHeld<T>(holdMs: number, ask: (holdMs: number) => Promise<Result<T>>): Promise<Result<T>> {
  const answer = await ask(holdMs);
  if (answer.ok || answer.failure.kind !== "too_many_held") return answer;
  await scheduler.wait(Math.min(holdMs, UNHELD_PAUSE_MS));
  return ask(0);
}
