// Outcomes as the release before reports them, with a text where this release has a failure with a code. While a new
// release is deployed, carriers of the old one are still running, and their reports must not be lost.
import type { AttemptOutcome } from "./event.ts";
import { failureOfText } from "./failure.ts";
import type { StartFailure } from "./start-failure.ts";

/** The outcome with a failure in place of a text. An outcome of this release is returned as it is. */
export function withFailure(outcome: AttemptOutcome & { readonly error?: string }): AttemptOutcome {
  if (outcome.kind === "start_failed") {
    const { failure } = outcome as { readonly failure?: StartFailure };
    return failure === undefined ? outcome : { kind: outcome.kind, start: failure };
  }
  const { error, ...rest } = outcome;
  return error === undefined ? outcome : ({ ...rest, failure: failureOfText(error) } as AttemptOutcome);
}
