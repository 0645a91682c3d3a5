// Questions to D1 that no cache answers: while it is down the caller is told so, by 503 and not by 500.
import { fail, ok, type Result } from "../../core/failure.ts";
import { log } from "../../log.ts";

/** What D1 answers, or `unavailable`. */
export async function askD1<T>(ask: () => Promise<T>): Promise<Result<T>> {
  try {
    return ok(await ask());
  } catch (error) {
    log("d1_not_answering", { error: String(error) });
    return fail({ kind: "unavailable", message: "the record cannot be read right now" });
  }
}
