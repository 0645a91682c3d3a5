// Queries to D1 that no cache can answer: while D1 is down the caller gets 503 and not 500.
import { fail, ok, type Result } from "../core/failure.ts";
import { log } from "../log.ts";

/** The result of a query to D1, or `unavailable`. */
export async function askD1<T>(ask: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await ask());
  } catch (error) {
    log("d1_not_answering", { error: String(error) });
    return fail({ kind: "unavailable", message: "the record cannot be read right now" });
  }
}
