// Advice: /v1/gpu-types/recommend, which GPU a model needs, and /v1/endpoints/{endpoint}/active-workers, how many workers a load needs.
import type * as z from "zod";
import {
  activeWorkersQuerySchema,
  activeWorkersSchema,
  recommendationSchema,
  recommendQuerySchema,
  type ShownOption,
} from "../../contract/manage/sizing.ts";
import { ok, type Result } from "../../core/failure.ts";
import { findRate, type RateKind } from "../../core/job/pricing.ts";
import {
  activeWorkers,
  explainGpu,
  explainWorkers,
  type GpuOption,
  gpuOptions,
  memoryNeed,
  type SizedTier,
} from "../../core/manage/sizing.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listTiers, type PricedTier } from "../../db/rates.ts";
import { summariseUsage } from "../../db/usage.ts";
import { ownerOf } from "../../manage/context.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { showPrice } from "./shown-rate.ts";

const HOUR_MS = 3_600_000;

const shared = { plane: "v1", method: "GET", scopes: ["jobs", "manage", "admin"], kind: "reads" } as const;

export const SIZING_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    tag: "Prices",
    path: "/v1/gpu-types/recommend",
    id: "recommendGpuType",
    summary: "Recommend a GPU type for a model",
    description:
      "By a rule of thumb: what the weights and the cache take of the memory. Other needs, such as speed, are yours.",
    query: recommendQuerySchema,
    answers: { 200: { description: "The smallest that is enough, and all others", schema: recommendationSchema } },
    handle: recommend,
  }),
  operation({
    ...shared,
    tag: "Workers",
    path: "/v1/endpoints/:endpoint/active-workers",
    id: "recommendActiveWorkers",
    summary: "Recommend a number of active workers",
    description: "Requests a minute x seconds / 60. What is not given is that of the endpoint's own last hour.",
    params: endpointParams,
    query: activeWorkersQuerySchema,
    answers: { 200: { description: "The number, and how it comes about", schema: activeWorkersSchema } },
    handle: countActive,
  }),
];

async function recommend({
  env,
  query,
  nowMs,
}: OperationCall<unknown, z.infer<typeof recommendQuerySchema>, unknown>): Promise<Result<Reply>> {
  const found = await askD1(() => listTiers(env.DB, nowMs));
  if (!found.ok) return found;
  const { context: contextTokens = null, ...rest } = query;
  const model = { ...rest, contextTokens };
  const need = memoryNeed(model);
  const [best = null, ...others] = gpuOptions(
    need.totalGb,
    found.value.map((tier) => toSized(tier, nowMs)),
  );
  const body = {
    ...need,
    recommended: best === null ? null : showOption(best),
    others: others.map(showOption),
    reasoning: explainGpu(model, need, best),
  };
  return ok({ status: 200, body });
}

function toSized({ id, title, vramGb, rates }: PricedTier, nowMs: number): SizedTier {
  const price = (kind: RateKind) => findRate(rates, id, kind, nowMs) ?? null;
  return { id, title, vramGb, prices: { flex: price("flex"), active: price("active") } };
}

function showOption({ tier, gpus }: GpuOption): ShownOption {
  const { id, title, vramGb, prices } = tier;
  const show = (each: number | null) => (each === null ? null : showPrice({ nanodollarsPerSecond: each * gpus }));
  return { gpuType: id, title, vramGb, gpus, flex: show(prices.flex), active: show(prices.active) };
}

async function countActive(
  call: OperationCall<EndpointParams, z.infer<typeof activeWorkersQuerySchema>, unknown>,
): Promise<Result<Reply>> {
  const { env, caller, params, query, nowMs } = call;
  const endpoint = await readEndpoint(call, ownerOf(caller), params.endpoint);
  if (!endpoint.ok) return endpoint;
  const { id, tenantId } = endpoint.value;
  const isGiven = query.requestsPerMinute !== undefined && query.seconds !== undefined;
  const found = isGiven
    ? ok(null)
    : await askD1(() => summariseUsage(env.DB, tenantId, id, { fromMs: nowMs - HOUR_MS, toMs: nowMs }));
  if (!found.ok) return found;
  const load = {
    requestsPerMinute: query.requestsPerMinute ?? (found.value?.attempts ?? 0) / 60,
    seconds: query.seconds ?? found.value?.meanSeconds ?? 0,
    slots: query.slots,
  };
  const { busy, workers } = activeWorkers(load);
  const jobsInLastHour = found.value?.attempts ?? null;
  const basis =
    jobsInLastHour === null
      ? []
      : [`In the last hour ${jobsInLastHour} attempts of the endpoint's tenant were billed.`];
  const body = {
    activeWorkers: workers,
    busy,
    ...load,
    jobsInLastHour,
    reasoning: [...basis, ...explainWorkers(load)],
  };
  return ok({ status: 200, body });
}
