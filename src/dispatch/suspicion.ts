// Decides about a suspicious status (401, 403, 404, 405, redirects). Path, query, headers, body and input are the
// tenant's, so the tenant may have caused the status. A probe that only we shape, under the same credential, decides
// whether the upstream is unhealthy for everybody, or only this job fails with the worker's answer.
import type { Outcome } from "../contract/dispatch.ts";
import { SUSPICION_CLEARED_MS, SUSPICION_PROBE_TIMEOUT_MS } from "../core/limits.ts";
import { type Attempt, askStatus } from "./attempt.ts";
import type { Suspicion } from "./classify.ts";
import { UpstreamFacts } from "./upstream-facts.ts";

/** Holds values only: a promise of another request would end with that request, so each attempt makes its own call. */
const cleared = new UpstreamFacts(SUSPICION_CLEARED_MS);

/** The attempt's outcome; null when its lease was lost meanwhile. An end that is no suspicion is returned as it is. */
export async function settle(attempt: Attempt, ended: Outcome | Suspicion | null): Promise<Outcome | null> {
  if (ended?.kind !== "suspected") return ended;
  const { assignment, deps } = attempt;
  const fact = String(ended.status);
  const rejected: Outcome = { kind: "rejected", failure: ended.failure };
  if (cleared.holds(assignment, deps.clock.now(), fact)) return rejected;
  const { url, method } = questionFor(attempt);
  const answered = await ask(attempt, url, method);
  if (answered === "aborted") return null;
  if (answered !== null && confirms(attempt, ended.status, answered)) return unhealthy(ended.status);
  cleared.note(assignment, deps.clock.now(), fact);
  return rejected;
}

export function unhealthy(status: number): Outcome {
  const why = isRedirect(status) ? "; redirects are not followed" : "";
  return { kind: "upstream_unhealthy", detail: `The upstream answered ${status}${why}.` };
}

/** The status of a call that no tenant has a part in, made while the attempt lasts; null: there was no answer. */
export function ask({ credential, signal, deps }: Attempt, url: string, method: string) {
  const options = { credential, timeoutMs: SUSPICION_PROBE_TIMEOUT_MS };
  return askStatus({ url, method, signal }, options, deps.reach);
}

function questionFor({ assignment: { upstream }, url }: Attempt): { readonly url: string; readonly method: string } {
  if (upstream.dialect === "openai") return { url: `${url.replace(/\/v1$/, "")}/v1/models`, method: "GET" };
  if (upstream.dialect === "runpod" && !upstream.local) return { url: `${url}/health`, method: "GET" };
  // A worker that takes jobs by POST answers other methods with 404 or 405 whatever is set, and OPTIONS without a
  // credential. A POST without a body starts no job, but a router or a check of credentials answers it like any other.
  return { url: upstream.dialect === "runpod" ? `${url}/runsync` : url, method: "POST" };
}

/** Does the upstream give everybody the status that it gave this job? */
function confirms({ assignment: { upstream } }: Attempt, suspected: number, answered: number): boolean {
  if (isRedirect(suspected)) return isRedirect(answered);
  // RunPod's own routes and a list of models are there wherever the address and the credential are right.
  if (upstream.dialect === "openai") return answered === 401 || answered === 403;
  if (upstream.dialect === "runpod" && !upstream.local) return [401, 403, 404, 405].includes(answered);
  return answered === suspected;
}

function isRedirect(status: number): boolean {
  return status >= 300 && status < 400;
}
