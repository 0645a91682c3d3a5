// Carries one leased job to its upstream and reports the outcome. The lease is renewed meanwhile; when the broker
// answers that it is lost, the call is dropped. The report is repeated until an answer comes, or for FINISH_FOR_MS.

import type { Assignment, Finished, Outcome } from "../contract/dispatch.ts";
import { openAiCallOf } from "../contract/openai-origin.ts";
import { credentialPlace } from "../core/access/sealing.ts";
import { messageOf } from "../core/failure.ts";
import { failed } from "../core/job/failure.ts";
import { LEASE_MS } from "../core/limits.ts";
import { OutputTap } from "../core/openai/output-usage.ts";
import { isHeaderValue } from "../core/openai/target.ts";
import { log } from "../log.ts";
import { open } from "../outbound/credentials.ts";
import { deletePayload } from "../payload/store.ts";
import { Attempt, type AttemptLinks, type CarryDeps } from "./attempt.ts";
import { makeCallbackUrl } from "./callback-url.ts";
import { attemptFailed, type Suspicion } from "./classify.ts";
import type { ClientLink } from "./client-link.ts";
import { runHttp } from "./http.ts";
import { LeaseWatch } from "./lease-watch.ts";
import { Nudge } from "./nudge.ts";
import { runOpenAi } from "./openai.ts";
import { repeatCall } from "./repeat-call.ts";
import { runRunpod } from "./runpod.ts";
import { settle } from "./suspicion.ts";

/** Longer than a lease, because a broker that starts prolongs each running lease by one period of grace. */
const FINISH_FOR_MS = 2 * LEASE_MS;

/** How an attempt ended, and the broker's reply to the report: null when none was sent, or none was answered. */
export interface Carried {
  readonly outcome: Outcome | null;
  readonly finished: Finished | null;
}

/**
 * Runs one attempt to its end. Never throws: an outcome that could not be reported is lost when its lease ends.
 * `client`: the client whose own request carries the job, and who ends it by leaving.
 */
export async function carry(
  assignment: Assignment,
  deps: CarryDeps,
  client: ClientLink | null = null,
): Promise<Carried> {
  const nudge = new Nudge();
  const watch = new LeaseWatch(assignment, deps, nudge);
  try {
    const signal = client === null ? watch.lost : AbortSignal.any([watch.lost, client.gone]);
    const outcome = await runAttempt(assignment, deps, { signal, nudge, client });
    watch.stop();
    // An outcome is reported even when the lease seems lost, because only the broker decides that.
    if (outcome !== null) return { outcome, finished: await tell(assignment, deps, outcome) };
    const lettingGo = deps.leaseApi().letGo({ lease: assignment.lease });
    await lettingGo.catch(() => undefined);
    return { outcome, finished: null };
  } finally {
    watch.stop();
    await watch.over;
  }
}

async function runAttempt(assignment: Assignment, deps: CarryDeps, signals: AttemptLinks): Promise<Outcome | null> {
  let credential: string | null;
  try {
    credential = await openCredential(assignment.upstream, deps.encryptionKey);
  } catch (cause) {
    const detail = `The credential of the upstream cannot be used: ${messageOf(cause)}.`;
    return { kind: "upstream_unhealthy", detail };
  }
  const callbackUrl = await makeCallbackUrl(assignment, deps);
  const attempt = new Attempt(assignment, deps, credential, { ...signals, callbackUrl });
  try {
    return withFacts(attempt, await settle(attempt, await run(attempt))) ?? leftBy(signals.client);
  } catch (cause) {
    log("carry_failed", { endpointId: assignment.endpointId, jobId: assignment.jobId, reason: messageOf(cause) });
    return attemptFailed("internal", "Waybill failed while it carried the job");
  }
}

function run(attempt: Attempt): Promise<Outcome | Suspicion | null> {
  const { upstream, origin } = attempt.assignment;
  if (origin?.countsTokens === true || upstream.dialect === "openai") attempt.tap = new OutputTap();
  if (upstream.dialect === "openai") return runOpenAi(attempt, attempt.url);
  if (upstream.dialect === "http") return runHttp(attempt);
  // A hosted endpoint (RunPod's or another Waybill's) has the OpenAI routes itself, so a call there waits for no poll.
  const isRelayed = openAiCallOf(origin) !== null && !upstream.local;
  return isRelayed ? runOpenAi(attempt, `${attempt.url}/openai`) : runRunpod(attempt);
}

/** The outcome of a dropped call: its client has gone, which ends the job; or null, because the lease was lost. */
function leftBy(client: ClientLink | null): Outcome | null {
  return client?.gone.aborted === true ? { kind: "abandoned", tokens: null } : null;
}

/** Adds what the output shows of itself: its tokens, and an error in place of a result. */
function withFacts({ tap, assignment }: Attempt, outcome: Outcome | null): Outcome | null {
  if (tap === null || outcome?.kind !== "completed") return outcome;
  const { input } = assignment;
  const { tokens, error } = tap.facts(input.kind === "inline" ? input.bytes.length : input.sizeBytes);
  if (error === null) return { ...outcome, tokens };
  return { ...outcome, kind: "handler_error", failure: failed("handler_error", error), tokens };
}

/** Returns the credential of an upstream in the clear; null when it needs none. */
export async function openCredential(
  upstream: { readonly id: string; readonly credential: string | null },
  encryptionKey: string,
): Promise<string | null> {
  if (upstream.credential === null) return null;
  const credential = await open(upstream.credential, encryptionKey, credentialPlace(upstream.id));
  // The operator must mend a credential that fetch would refuse, and no tenant's job may fail because of it.
  if (!isHeaderValue(credential)) throw new Error("it has characters that no header may hold");
  return credential;
}

async function tell(assignment: Assignment, deps: CarryDeps, outcome: Outcome): Promise<Finished | null> {
  const { jobId, lease, endpointId } = assignment;
  const call = (): Promise<Finished> => deps.leaseApi().finish({ jobId, lease, outcome });
  try {
    const finished = await repeatCall(call, { clock: deps.clock, forMs: FINISH_FOR_MS });
    if (finished.accepted) return finished;
    log("outcome_refused", { endpointId, jobId, kind: outcome.kind });
    await dropOutput(deps, outcome);
    return finished;
  } catch (cause) {
    // The broker may have received the outcome, so a stored output stays; the bucket's lifecycle rule deletes orphans.
    log("outcome_untold", { endpointId, jobId, kind: outcome.kind, reason: messageOf(cause) });
    return null;
  }
}

async function dropOutput(deps: CarryDeps, outcome: Outcome): Promise<void> {
  if (!("output" in outcome) || outcome.output === null) return;
  await deletePayload(outcome.output, deps.bucket).catch(() => undefined);
}
