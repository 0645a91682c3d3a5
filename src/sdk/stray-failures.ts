// Promises of handlers that fail and that nobody waits for any more. Node ends the process then, and with it all other jobs or requests:
// a handler whose two calls have the same signal leaves one behind whenever its job is cancelled, or its client leaves.
import type { Log } from "./log.ts";
import { shownThrown } from "./outcome.ts";

/** From now on such a failure is a line of the log. What is thrown outside of promises ends the process as ever. */
export function outliveStrayFailures(log: Log): void {
  process.on("unhandledRejection", (thrown) => {
    const reason = thrown instanceof Error ? (thrown.stack ?? thrown.message) : shownThrown(thrown);
    log.error("a promise has failed that nobody waits for", { reason });
  });
}
