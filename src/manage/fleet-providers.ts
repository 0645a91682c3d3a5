// Which providers an endpoint may have its machines of, and who may set what its work is billed by and what is of an operator's account.
import type { Fleet, WorkerEnv } from "../contract/manage/fleet.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { OPERATORS_DISK_MAX_GB } from "../core/manage/limits.ts";
import { variableWithSecret } from "../core/manage/provider-rules.ts";
import { askD1 } from "../db/ask-d1.ts";
import { expectNoPresetter, expectProviders, expectTenantsPrice, listPresetters, listUsable } from "../db/providers.ts";
import type { Statement } from "../db/statement.ts";
import { type ManageContext, operates } from "./context.ts";

type Choice = Pick<Fleet, "providers" | "workers" | "gpu" | "registry" | "networkVolumes" | "disk">;

/**
 * Checks what of an endpoint's fleet, as it is to be, is an operator's to set on its own machines. `now`: as it is. `workerEnv`: its new
 * environment, or opens the one that stays. Returns what the batch of the change has to expect.
 */
export async function checkFleet(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  tenantId: string,
  now: Choice,
  next: Choice,
  workerEnv: WorkerEnv | (() => Promise<WorkerEnv>),
): Promise<Result<readonly Statement[]>> {
  const { providers, workers } = next;
  const isOther = JSON.stringify(providers) !== JSON.stringify(now.providers);
  const named = isOther ? (providers ?? []) : [];
  // A price is divided by the slots, so whoever sets them on an operator's machines sets the bill. It is that of a machine, however many
  // GPUs the machine has, each of which the operator pays.
  const isSplit = workers.slots !== now.workers.slots || (isOther && workers.slots > 1);
  const gpus = next.gpu?.count ?? 1;
  const isPriced = isSplit || (gpus > 1 && (isOther || gpus !== now.gpu?.count));
  const isOperatorsToSet = isPriced || takesFromAccount(now, next, isOther);
  const newSecret = typeof workerEnv === "function" ? null : variableWithSecret(workerEnv);
  if (!isOther && !isOperatorsToSet && newSecret === null) return ok([]);
  // Providers are the tenant's as a whole.
  if (named.length > 0 && caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await askD1(() => listUsable(env.DB, tenantId, providers));
  if (!found.ok) return found;
  const unknown = named.find((id) => !found.value.some((provider) => provider.id === id));
  if (unknown !== undefined) {
    const message = `there is no provider ${unknown} of the endpoint's tenant; GET /v1/providers lists those that there are`;
    return fail({ kind: "invalid", field: "providers", message });
  }
  const ofOperator = found.value.filter(({ pricedByOperator }) => pricedByOperator === 1);
  if (isOperatorsToSet && ofOperator.length > 0 && !operates(caller))
    return isPriced ? OPERATORS_PRICE : OPERATORS_ACCOUNT;
  const secret = ofOperator.some(({ kind }) => kind === "runpod") ? await secretOf(workerEnv, isOther) : null;
  if (secret !== null) {
    const message = `the variable ${secret} has {{, by which RunPod would read a secret of the operator's account`;
    return fail({ kind: "invalid", field: "env", message });
  }
  return ok([
    ...(named.length === 0 ? [] : [expectProviders(tenantId, named)]),
    // An operator may set offers at the same time.
    ...(isOperatorsToSet && !operates(caller) ? [expectTenantsPrice(tenantId, providers)] : []),
  ]);
}

/** The first variable that may read a secret of an account. An environment that stays is opened for other providers alone. */
async function secretOf(
  workerEnv: WorkerEnv | (() => Promise<WorkerEnv>),
  areOtherProviders: boolean,
): Promise<string | null> {
  if (typeof workerEnv !== "function") return variableWithSecret(workerEnv);
  return areOtherProviders ? variableWithSecret(await workerEnv()) : null;
}

/** Registries and volumes are those of the account that pays for the machines, and so is disk beyond what their price includes. */
function takesFromAccount(now: Choice, next: Choice, isOther: boolean): boolean {
  const { registry = null, networkVolumes, disk = 0 } = next;
  const isOtherRegistry = isOther || registry !== (now.registry ?? null);
  const areOtherVolumes = isOther || JSON.stringify(networkVolumes) !== JSON.stringify(now.networkVolumes);
  const isOtherDisk = isOther || disk !== now.disk;
  return (
    (registry !== null && isOtherRegistry) ||
    (networkVolumes.length > 0 && areOtherVolumes) ||
    (disk > OPERATORS_DISK_MAX_GB && isOtherDisk)
  );
}

type GivenProvider = Parameters<typeof listPresetters>[1];

/**
 * Checks that no endpoint would divide the prices, or use the registries, volumes and large disks, of a provider that is to have offers of an operator's,
 * or to be a default one with them. Who has set these of an endpoint is stored nowhere: as long as it had no such provider, its tenant was
 * free to. Returns what the batch of the change has to expect.
 */
export async function checkPresets(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  provider: GivenProvider,
): Promise<Result<readonly Statement[]>> {
  // What an operator's own tenant is billed is the operator's affair.
  if (provider.tenantId === caller.tenantId) return ok([]);
  const found = await askD1(() => listPresetters(env.DB, provider, ENDPOINTS_NAMED_MAX + 1));
  if (!found.ok) return found;
  if (found.value.length === 0) return ok([expectNoPresetter(provider)]);
  const named = found.value.slice(0, ENDPOINTS_NAMED_MAX).join(", ");
  const rest = found.value.length > ENDPOINTS_NAMED_MAX ? ", and more" : "";
  const message = `these endpoints have set what an operator alone may set on its machines, because it divides their price or is of its account (more than one slot or GPU, a registry, network volumes, a disk over ${OPERATORS_DISK_MAX_GB} GB): ${named}${rest}. Set workers.slots and gpu.count to 1 and disk to ${OPERATORS_DISK_MAX_GB} at most, and clear registry and networkVolumes; a key of the scope admin can set them again afterwards`;
  return fail({ kind: "conflict", message });
}

/** More names than this are a list, for which there is a route. */
export const ENDPOINTS_NAMED_MAX = 10;

const OPERATORS_PRICE = fail({
  kind: "operators_price",
  because: "price",
  what: "endpoint's machines",
  fields: "workers.slots, gpu.count over 1, and providers with more than one slot or GPU",
});

const OPERATORS_ACCOUNT = fail({
  kind: "operators_price",
  because: "account",
  what: "endpoint's machines",
  fields: `registry, networkVolumes, disk over ${OPERATORS_DISK_MAX_GB}, and providers with a registry, volumes or such a disk`,
});
