// Distinguishes two kinds of `runpod` upstream: a hosted endpoint, and a `handler.py --rp_serve_api` that was added as
// one. The latter accepts `/run` like RunPod but only keeps the job: it answers 405 to GET on `/status`, by which
// hosted jobs are followed, and it has no `/health`, which every hosted endpoint has.
import { LOCAL_SERVER_KNOWN_MS } from "../core/limits.ts";
import type { Attempt } from "./attempt.ts";
import { ask } from "./suspicion.ts";
import { UpstreamFacts } from "./upstream-facts.ts";

const found = new UpstreamFacts(LOCAL_SERVER_KNOWN_MS);

export function isKnownLocal({ assignment, deps }: Attempt): boolean {
  return found.holds(assignment, deps.clock.now());
}

/** To be called after `/status` was refused with this status. No part of the job has run then. */
export async function isLocalServer(attempt: Attempt, status: number): Promise<boolean> {
  if (status !== 405 || (await ask(attempt, `${attempt.url}/health`, "GET")) !== 404) return false;
  found.note(attempt.assignment, attempt.deps.clock.now());
  return true;
}
