// /v1/gpu-types: the tiers by which work is billed, what they cost now, and what they will.
import * as z from "zod";
import { gpuTypeSchema, type ShownGpuType } from "../../contract/manage/rate.ts";
import { ok, type Result } from "../../core/failure.ts";
import type { RateKind } from "../../core/job/pricing.ts";
import { GPU_POOLS } from "../../core/manage/gpu-pools.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { listTiers, type PricedTier } from "../../db/rates.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { showPrice, showRate } from "./shown-rate.ts";

export const GPU_TYPE_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Prices",
    method: "GET",
    path: "/v1/gpu-types",
    id: "listPricedGpuTypes",
    summary: "List GPU types",
    description: "Smallest first: what upstreams and worker keys name as their tier, with its prices.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    answers: { 200: { description: "All types", schema: z.object({ gpuTypes: z.array(gpuTypeSchema) }) } },
    handle: list,
  }),
];

async function list({ env, nowMs }: OperationCall<unknown, unknown, unknown>): Promise<Result<Reply>> {
  const found = await askD1(() => listTiers(env.DB, nowMs));
  return found.ok ? ok({ status: 200, body: { gpuTypes: found.value.map((tier) => show(tier, nowMs)) } }) : found;
}

function show({ id, title, vramGb, rates }: PricedTier, nowMs: number): ShownGpuType {
  const pools = GPU_POOLS.filter(({ tier }) => tier === id);
  const now = (kind: RateKind) => {
    const rate = rates.find((each) => each.kind === kind && each.effectiveFromMs <= nowMs);
    return rate === undefined ? null : showPrice(rate);
  };
  return {
    id,
    title,
    vramGb,
    runpodPools: pools.map((pool) => ({ id: pool.id, types: [...pool.types] })),
    flex: now("flex"),
    active: now("active"),
    announced: rates.filter(({ effectiveFromMs }) => effectiveFromMs > nowMs).map(showRate),
  };
}
