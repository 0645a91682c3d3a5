// One call of a broker to a provider: reads from D1 who and what it is about, opens what is sealed, and lets the provider's driver do it.
import type { Config } from "../config.ts";
import type { ProviderCall, StoredProvider } from "../contract/fleet.ts";
import type { ManagedEndpoint } from "../contract/manage/managed-endpoint.ts";
import { blankApiKeys } from "../core/access/api-key.ts";
import { providerPlace } from "../core/access/sealing.ts";
import { SecretForms } from "../core/access/secret-forms.ts";
import { messageOf } from "../core/failure.ts";
import type { ProviderAnswer } from "../core/fleet/provider.ts";
import { variableWithSecret } from "../core/manage/provider-rules.ts";
import { within } from "../db/deadline.ts";
import { findManaged } from "../db/managed-endpoints.ts";
import { findProvider, type ManagedProvider } from "../db/providers.ts";
import type { Database } from "../db/statement.ts";
import { log } from "../log.ts";
import { open } from "../outbound/credentials.ts";
import type { Driver, MachinePlan } from "./driver.ts";
import { type Planned, planMachines } from "./machine-plan.ts";
import { makeDriver } from "./make-driver.ts";

/** A broker is promised an answer within 30 s, of which D1 and we ourselves take a part. */
const CALL_MAX_MS = 28_000;
const D1_MAX_MS = 8_000;

export interface OperateDeps {
  readonly db: Database;
  readonly config: Config;
  readonly now: () => number;
}

/** Throws only for faults of ours. No secret is in the answer: neither the provider's nor one of the workers'. */
export async function operate(call: ProviderCall, deps: OperateDeps): Promise<ProviderAnswer> {
  const { config, now } = deps;
  const untilMs = now() + CALL_MAX_MS;
  const { endpointId, providerId, operation } = call;
  const stored = await readStored(call, deps);
  if (stored === null)
    return { kind: "unreachable", detail: "The record of the provider cannot be read at the moment." };
  const { provider, endpoint } = stored;
  if (provider === null) return withoutProvider(operation);
  if (endpoint !== null && endpoint.tenantId !== provider.tenantId)
    return { kind: "denied", detail: "The provider is another tenant's." };
  const planned: Planned =
    endpoint === null ? { ok: false, problem: "The endpoint is deleted." } : await planMachines(endpoint, config);
  if (operation === "create" && !planned.ok) return { kind: "bad_config", detail: planned.problem };
  const secret = planned.ok && operation === "create" ? readsSecret(provider, planned.plan) : null;
  if (secret !== null) return { kind: "bad_config", detail: secret };
  const credential = await openCredential(provider, config.encryptionKey);
  if (!credential.ok) return { kind: "denied", detail: credential.problem };
  const plan = planned.ok ? planned.plan : null;
  const httpPort = plan?.worker.httpPort ?? null;
  const made = makeDriver(
    { provider, credential: credential.text, plan, httpPort, endpointId, desired: call.desired },
    { reach: config.reach, now, untilMs },
  );
  if (!made.ok) return { kind: "denied", detail: made.problem };
  const answer = await run(made.driver, call, planned);
  const shown = blanked(answer, [credential.text ?? "", ...Object.values(plan?.worker.env ?? {})]);
  if ("detail" in shown)
    log("provider_refused", { endpointId, providerId, operation, kind: shown.kind, detail: shown.detail });
  return shown;
}

/** Its record outlasts every machine that was had of it (db/providers.ts): what is left of one is its row at the broker, which may go. */
function withoutProvider(operation: ProviderCall["operation"]): ProviderAnswer {
  if (operation === "list") return { kind: "listed", instances: [] };
  if (operation === "stop" || operation === "end") return { kind: "gone" };
  return { kind: "denied", detail: "There is no such provider any more." };
}

/** Why no pod is made with the endpoint's env, as a sentence without any of its values; null: one may be made. */
function readsSecret({ kind, pricedByOperator }: ManagedProvider, { worker }: MachinePlan): string | null {
  const name = kind === "runpod" && pricedByOperator ? variableWithSecret(worker.env) : null;
  if (name === null) return null;
  return `${name} in the endpoint's env has {{, by which RunPod would read a secret of the operator's account: take it out.`;
}

interface Stored {
  readonly provider: ManagedProvider | null;
  /** Null: it is deleted. Its machines can still be listed and ended. */
  readonly endpoint: ManagedEndpoint | null;
}

/** Null: D1 does not answer, or not with what a provider and an endpoint are. */
async function readStored({ providerId, endpointId }: ProviderCall, { db }: OperateDeps): Promise<Stored | null> {
  try {
    const asked = Promise.all([findProvider(db, providerId), findManaged(db, null, endpointId)]);
    const [provider, endpoint] = await within(D1_MAX_MS, asked, "D1");
    // Another endpoint may have the id as its slug.
    return { provider, endpoint: endpoint?.id === endpointId ? endpoint : null };
  } catch (cause) {
    log("provider_unread", { endpointId, providerId, reason: messageOf(cause) });
    return null;
  }
}

async function openCredential(
  { id, sealedCredential }: StoredProvider,
  encryptionKey: string,
): Promise<{ readonly ok: true; readonly text: string | null } | { readonly ok: false; readonly problem: string }> {
  if (sealedCredential === null) return { ok: true, text: null };
  try {
    return { ok: true, text: await open(sealedCredential, encryptionKey, providerPlace(id)) };
  } catch (cause) {
    return { ok: false, problem: `The provider's credential cannot be used: ${messageOf(cause)}.` };
  }
}

function run(driver: Driver, { operation, machine }: ProviderCall, planned: Planned): Promise<ProviderAnswer> {
  if (operation === "list") return driver.list();
  if (machine === null) throw new Error(`a call to ${operation} names its machine`);
  if (operation !== "create") return driver[operation](machine);
  if (!planned.ok) throw new Error("a machine is created by a plan");
  return driver.create(machine, planned.plan);
}

/** What a vendor writes may repeat what it was sent. */
function blanked(answer: ProviderAnswer, secrets: readonly string[]): ProviderAnswer {
  let forms: SecretForms | undefined;
  const blank = (text: string): string => {
    forms ??= new SecretForms(secrets);
    return blankApiKeys(forms.blankText(text));
  };
  const shown = <Shown extends { readonly detail: string | null }>(one: Shown): Shown =>
    one.detail === null ? one : { ...one, detail: blank(one.detail) };
  if (answer.kind === "listed") return { ...answer, instances: answer.instances.map(shown) };
  if (answer.kind === "done") return { ...answer, instance: answer.instance === null ? null : shown(answer.instance) };
  return "detail" in answer ? shown(answer) : answer;
}
