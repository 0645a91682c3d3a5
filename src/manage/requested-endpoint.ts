// The endpoint that a body of RunPod's management API asks for, as it is made and changed: its GraphQL calls become such bodies, too,
// and those of /v1 have the same fields and some more.
import type { ManagedEndpoint } from "../contract/manage/managed-endpoint.ts";
import type { CreateRunPodEndpoint, PatchRunPodEndpoint, RunPodEndpoint } from "../contract/manage/runpod-endpoint.ts";
import { givenOf } from "../core/manage/given.ts";
import type { EndpointPatch, WantedEndpoint } from "./endpoints.ts";
import { toTimeoutMs } from "./requested-fleet.ts";

export function toWanted(
  { name, type, timeout, env = {}, templateId, ...fields }: CreateRunPodEndpoint,
  tenantId: string,
): WantedEndpoint {
  const executionTimeoutMs = toTimeoutMs(timeout);
  const settings = { tenantId, name, kind: kindOf(type), executionTimeoutMs };
  return { ...settings, fields, templateId, workerEnv: env, needsHardware: true };
}

export function toPatch({ name, timeout, env, templateId, ...fields }: PatchRunPodEndpoint): EndpointPatch {
  const executionTimeoutMs = timeout === undefined ? undefined : toTimeoutMs(timeout);
  return { ...givenOf({ name, executionTimeoutMs }), fields, templateId, workerEnv: env };
}

export function kindOf(type: RunPodEndpoint["type"]): ManagedEndpoint["kind"] {
  return type === "QUEUE" ? "queue" : "load_balancer";
}

/** RunPod's word for a kind. */
export function typeOf(kind: ManagedEndpoint["kind"]): RunPodEndpoint["type"] {
  return kind === "queue" ? "QUEUE" : "LOAD_BALANCER";
}
