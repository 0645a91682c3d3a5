// Carries the job of a waiting client within that client's own request, by the carrier's code.
import type { Claim } from "../../contract/broker.ts";
import type { JobView } from "../../contract/job-view.ts";
import { originOf } from "../../contract/openai-origin.ts";
import { isTerminal } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { carry } from "../../dispatch/carry.ts";
import { carryDeps } from "../../dispatch/carry-deps.ts";
import type { ClientLink } from "../../dispatch/client-link.ts";
import type { RouteContext } from "./context.ts";

/** `job`: its end with its output; null if this attempt did not end it, or may not have: the client then waits. */
interface CarriedHere {
  readonly job: JobView | null;
  /** The lease was lost, or a bug of ours ended the attempt: a client that has had a part of the answer was not told. */
  readonly isLost: boolean;
}

/** Runs the attempt to its end. `client`: receives the answer as it comes, and ends the job by leaving. */
export async function carryHere(
  c: RouteContext,
  claim: Claim,
  input: PayloadRef,
  client: ClientLink | null = null,
): Promise<CarriedHere> {
  const assignment = { ...claim, input, origin: originOf(claim) };
  const { outcome, finished } = await carry(assignment, carryDeps(c.env, claim.endpointId), client);
  // Behind a part of its answer an attempt fails as `cut_short`, and its client was told; what is left is a bug of ours.
  const isLost = outcome === null || outcome.kind === "attempt_failed";
  if (outcome === null) return { job: null, isLost };
  // A refused report may have been accepted at its first try: the broker then has the result, and we do not.
  const job = finished?.accepted === true ? finished.job : null;
  if (job === null || !isTerminal(job.status)) return { job: null, isLost };
  return { job: { ...job, output: "output" in outcome ? outcome.output : null }, isLost };
}
