// Sends a report until it is taken. A result is work that was paid for, so nothing but an answer that no repetition can change
// ends the tries: the job is gone, or the report is refused for what it is.
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "./log.ts";
import { pauseAfter } from "./pause.ts";
import { type Answer, shownAnswer } from "./worker-api.ts";

/** `gone`: nobody waits for the job any more. `refused`: the report itself is not taken, such as one that is too large. */
export type Delivered =
  | { readonly kind: "taken" }
  | { readonly kind: "gone" }
  | { readonly kind: "refused"; readonly answer: string };

/** Long enough to be no load on a broker that starts anew, short beside the time that a lease lives. */
const PAUSES = { firstMs: 500, longestMs: 10_000 };
/** The job was cancelled, has ended, or is held by another worker. */
const GONE: readonly number[] = [404, 409, 410];
/** The report is at fault. */
const REFUSED: readonly number[] = [400, 413, 422];

/** `isOver` is asked before each repetition: a job that was stopped meanwhile needs no report. */
export async function deliver(
  send: () => Promise<Answer>,
  { log, isOver }: { readonly log: Log; readonly isOver: () => boolean },
): Promise<Delivered> {
  for (let failures = 1; ; failures += 1) {
    const answer = await send();
    if (answer.status >= 200 && answer.status < 300) {
      if (failures > 1) log.info("the report was taken", { tries: failures });
      return { kind: "taken" };
    }
    if (GONE.includes(answer.status)) return { kind: "gone" };
    if (REFUSED.includes(answer.status)) return { kind: "refused", answer: shownAnswer(answer) };
    const pauseMs = pauseAfter(answer, failures, PAUSES);
    // A line for the first failure and for each doubling: an outage of an hour makes ten lines.
    if (isPowerOfTwo(failures))
      log.warn("a report was not taken, it is sent again", { tries: failures, answer: shownAnswer(answer) });
    await sleep(pauseMs);
    if (isOver()) return { kind: "gone" };
  }
}

/** Is this failure one to log? The first, the second, the fourth and so on. */
export function isPowerOfTwo(count: number): boolean {
  return Number.isInteger(Math.log2(count));
}
