// Endpoints by RunPod's GraphQL: `saveEndpoint`, `updateEndpointTemplate`, `deleteEndpoint`, and the form in which a query shows one.
import * as z from "zod";
import type { ManagedEndpoint } from "../../contract/manage/managed-endpoint.ts";
import { createRunPodEndpointSchema, patchRunPodEndpointSchema } from "../../contract/manage/runpod-endpoint.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { EXECUTION_TIMEOUT_DEFAULT_MS } from "../../core/limits.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import type { ManageContext } from "../../manage/context.ts";
import { deleteEndpoint as deleteForCaller } from "../../manage/delete-endpoint.ts";
import { changeEndpoint, createEndpoint, readEndpoint } from "../../manage/endpoints.ts";
import { toPatch, toWanted, typeOf } from "../../manage/requested-endpoint.ts";
import { checkValue } from "../kit/checked.ts";
import { visibleEnv } from "../kit/shown-endpoint.ts";
import { isGiven, type Resolved, splitText } from "./call.ts";

/** Another one than that of the REST API. */
const IDLE_DEFAULT_SECONDS = 5;
const text = z.string().nullable().optional();

/** The names and defaults of RunPod's GraphQL; the values are checked under the names of its REST API. */
const inputSchema = z.strictObject({
  id: text,
  name: z.string(),
  templateId: text,
  type: z.enum(["QB", "LB"]).optional(),
  gpuIds: text,
  gpuCount: z.number().default(1),
  allowedCudaVersions: text,
  minCudaVersion: text,
  networkVolumeId: text,
  locations: text,
  idleTimeout: z.number().default(IDLE_DEFAULT_SECONDS),
  scalerType: z.enum(["QUEUE_DELAY", "REQUEST_COUNT"]).default("QUEUE_DELAY"),
  scalerValue: z.number().default(4),
  workersMin: z.number().default(0),
  workersMax: z.number().default(3),
  flashBootType: z.string().default("OFF"),
  executionTimeoutMs: z.number().default(EXECUTION_TIMEOUT_DEFAULT_MS),
});
type Input = z.infer<typeof inputSchema>;
const saveSchema = z.strictObject({ input: inputSchema });
const deleteSchema = z.strictObject({ id: z.string() });
const templateSchema = z.strictObject({ input: z.strictObject({ endpointId: z.string(), templateId: z.string() }) });

export async function saveEndpoint(context: ManageContext, args: unknown): Promise<Resolved> {
  const checked = checkValue(saveSchema, args, "body");
  if (!checked.ok) return checked;
  const { input } = checked.value;
  const saved = isGiven(input.id) ? await change(context, input.id, input) : await create(context, input);
  return saved.ok ? ok(await showGraphQlEndpoint(context, saved.value)) : saved;
}

export async function updateEndpointTemplate(context: ManageContext, args: unknown): Promise<Resolved> {
  const checked = checkValue(templateSchema, args, "body");
  if (!checked.ok) return checked;
  const { endpointId, templateId } = checked.value.input;
  const { tenantId } = context.caller;
  const changed = await changeEndpoint(context, tenantId, endpointId, { fields: {}, templateId });
  return changed.ok ? ok({ id: changed.value.endpoint.id, templateId }) : changed;
}

/** RunPod wants its workers to be set to 0 before; here the endpoint ends whatever runs. */
export async function deleteEndpoint(context: ManageContext, args: unknown): Promise<Resolved> {
  const checked = checkValue(deleteSchema, args, "body");
  if (!checked.ok) return checked;
  const deleted = await deleteForCaller(context, context.caller.tenantId, checked.value.id);
  return deleted.ok ? ok(null) : deleted;
}

async function create(context: ManageContext, input: Input): Promise<Result<ManagedEndpoint>> {
  const type = input.type === "LB" ? "LOAD_BALANCER" : "QUEUE";
  const checked = checkValue(createRunPodEndpointSchema, { ...toBody(input, type), type }, "body");
  if (!checked.ok) return checked;
  const { tenantId } = context.caller;
  const made = await createEndpoint(context, toWanted(checked.value, tenantId));
  return made.ok ? readEndpoint(context, tenantId, made.value.id) : made;
}

/** RunPod's `saveEndpoint` resets what is left out, but for the template and the pools, without which there is no endpoint. */
async function change(context: ManageContext, id: string, input: Input): Promise<Result<ManagedEndpoint>> {
  const { tenantId } = context.caller;
  const found = await readEndpoint(context, tenantId, id);
  if (!found.ok) return found;
  const type = typeOf(found.value.kind);
  if (input.type !== undefined && (input.type === "LB") !== (type === "LOAD_BALANCER")) return fail(TYPE_STAYS);
  const checked = checkValue(patchRunPodEndpointSchema, toBody(input, type), "body");
  if (!checked.ok) return checked;
  const changed = await changeEndpoint(context, tenantId, id, toPatch(checked.value));
  return changed.ok ? ok(changed.value.endpoint) : changed;
}

const TYPE_STAYS = { kind: "invalid", field: "type", message: "cannot be changed: make a new endpoint" } as const;

/** The body by which RunPod's REST API would be asked for the same. */
function toBody(input: Input, type: "QUEUE" | "LOAD_BALANCER"): object {
  const { scalerType, scalerValue, workersMin: min, workersMax: max, idleTimeout } = input;
  const isByDelay = scalerType === "QUEUE_DELAY";
  // RunPod's GraphQL takes the idle timeout also where it has no meaning; the REST API refuses it.
  const isIdleUsed = isByDelay || type === "LOAD_BALANCER";
  return {
    name: input.name,
    ...(isGiven(input.templateId) ? { templateId: input.templateId } : {}),
    ...gpuOf(input),
    workers: { min, max, ...(isIdleUsed ? { idleTimeout } : {}) },
    scaling: isByDelay
      ? { type: scalerType, queueDelay: scalerValue }
      : { type: scalerType, requestCount: scalerValue },
    flashboot: input.flashBootType,
    timeout: input.executionTimeoutMs,
    networkVolumes: isGiven(input.networkVolumeId) ? [input.networkVolumeId] : [],
    dataCenterIds: splitText(input.locations),
  };
}

/** `gpuIds` is one text of pools, in which `-TYPE` leaves a GPU type out. */
function gpuOf({ id, templateId, gpuIds, gpuCount: count, allowedCudaVersions, minCudaVersion }: Input): object {
  const names = splitText(gpuIds);
  if (names.length === 0) return {};
  const versions = splitText(allowedCudaVersions);
  // Versions that are not named are those of the template, and without one none.
  const isReset = isGiven(id) && !isGiven(templateId);
  return {
    gpu: {
      pools: names.filter((name) => !name.startsWith("-")),
      excludedTypes: names.filter((name) => name.startsWith("-")).map((name) => name.slice(1)),
      count,
      ...(versions.length > 0 || isReset ? { allowedCudaVersions: versions } : {}),
      ...(isGiven(minCudaVersion) ? { minCudaVersion } : isReset ? { minCudaVersion: "" } : {}),
    },
  };
}

/** An endpoint with all the members that RunPod's clients ask for. */
export async function showGraphQlEndpoint(
  { env, caller }: Pick<ManageContext, "env" | "caller">,
  endpoint: ManagedEndpoint,
) {
  const { id, name, slug, kind, fleet, tenantId, templateId, version, executionTimeoutMs, createdAtMs } = endpoint;
  const { gpu, workers, scaling, flashboot, dataCenterIds, networkVolumes } = fleet;
  const variables = (await visibleEnv(env, caller, endpoint)) ?? {};
  return {
    id,
    name: name === "" ? slug : name,
    userId: tenantId,
    templateId,
    type: kind === "queue" ? "QB" : "LB",
    version,
    gpuIds: [...(gpu?.pools ?? []), ...(gpu?.excludedTypes ?? []).map((type) => `-${type}`)].join(","),
    gpuCount: gpu?.count ?? 0,
    allowedCudaVersions: gpu?.allowedCudaVersions.join(",") ?? "",
    minCudaVersion: gpu?.minCudaVersion ?? null,
    idleTimeout: workers.idleTimeout ?? IDLE_DEFAULT_SECONDS,
    scalerType: scaling.type,
    scalerValue: scaling.type === "QUEUE_DELAY" ? scaling.queueDelay : scaling.requestCount,
    workersMin: workers.min,
    workersMax: workers.max,
    workersStandby: workers.min,
    flashBootType: flashboot,
    executionTimeoutMs,
    networkVolumeId: networkVolumes[0] ?? null,
    networkVolume: null,
    locations: dataCenterIds.join(","),
    env: Object.entries(variables).map(([key, value]) => ({ key, value })),
    createdAt: toTimeText(createdAtMs),
  };
}
