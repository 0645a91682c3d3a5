// Outcomes as the release before tells them, which kept a text where this one has a failure with a code. While a new release is
// deployed, carriers of the old one are still under way, and what they report must not be lost.
import type { AttemptOutcome } from "./event.ts";
import { failureOfText } from "./failure.ts";
import type { StartFailure } from "./start-failure.ts";

/** The outcome with its failure. One that this release made stays as it is. */
export function withFailure(outcome: AttemptOutcome & { readonly error?: string }): AttemptOutcome {
  if (outcome.kind === "start_failed") {
    const { failure } = outcome as { readonly failure?: StartFailure };
    return failure === undefined ? outcome : { kind: outcome.kind, start: failure };
  }
  const { error, ...rest } = outcome;
  return error === undefined ? outcome : ({ ...rest, failure: failureOfText(error) } as AttemptOutcome);
}
