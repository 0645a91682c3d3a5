// A waiting client's own request carries its job: the carrier's code, in this invocation.
import type { Claim } from "../../contract/broker.ts";
import type { JobView } from "../../contract/job-view.ts";
import { originOf } from "../../contract/openai-origin.ts";
import { isTerminal } from "../../core/job/job.ts";
import type { PayloadRef } from "../../core/json/payload-ref.ts";
import { carry } from "../../dispatch/carry.ts";
import { carryDeps } from "../../dispatch/carry-deps.ts";
import type { ClientLink } from "../../dispatch/client-link.ts";
import type { RouteContext } from "./context.ts";

/** `job`: as it ended, with its output; null when this attempt did not end it, or nobody knows: it then waits like any other. */
interface CarriedHere {
  readonly job: JobView | null;
  /** The lease was lost, and nothing was told of the attempt's end. */
  readonly isLost: boolean;
}

/** Runs the attempt to its end. `client`: who gets the answer as it comes, and ends the job by leaving. */
export async function carryHere(
  c: RouteContext,
  claim: Claim,
  input: PayloadRef,
  client: ClientLink | null = null,
): Promise<CarriedHere> {
  const assignment = { ...claim, input, origin: originOf(claim) };
  const { outcome, finished } = await carry(assignment, carryDeps(c.env, claim.endpointId), client);
  if (outcome === null) return { job: null, isLost: true };
  // A finish that is refused may have been heard the first time: then the broker has the result, and nobody here.
  const job = finished?.accepted === true ? finished.job : null;
  if (job === null || !isTerminal(job.status)) return { job: null, isLost: false };
  return { job: { ...job, output: "output" in outcome ? outcome.output : null }, isLost: false };
}
