// The settings of an endpoint as they travel from D1 to its broker: all that it needs to dispatch and price without D1.
import * as z from "zod";
import { RATE_KINDS } from "../core/job/pricing.ts";
import { LB_BODY_DEFAULT_MAX_BYTES, LB_BODY_MAX_BYTES } from "../core/limits.ts";
import { INFERENCE } from "../core/openai/routes.ts";
import { fleetSettingsSchema } from "./fleet.ts";

/** A worker address that jobs are pushed to. `credential` is sealed (outbound/credentials.ts); null: it needs none. */
const upstreamSchema = z.object({
  id: z.string().min(1),
  url: z.string().min(1),
  dialect: z.enum(["runpod", "http", "openai"]),
  /** `runpod` only: the upstream is a `handler.py --rp_serve_api` and is called by `/runsync`. */
  local: z.boolean().default(false),
  slots: z.int().min(1).max(1_000),
  tier: z.string().min(1),
  rateKind: z.enum(RATE_KINDS),
  credential: z.string().nullable(),
});
export type Upstream = z.infer<typeof upstreamSchema>;

/** A key that workers fetch jobs with. Their price is set here, so that nothing a worker sends changes the bill. */
const workerKeySchema = z.object({
  id: z.string().min(1),
  /** Hex of HMAC-SHA-256(pepper, key). */
  digest: z.string().min(1),
  tier: z.string().min(1),
  rateKind: z.enum(RATE_KINDS),
  /** Jobs that one worker of this key runs at once. */
  slots: z.int().min(1).max(1_000),
  /** When the key expires, epoch ms; brokers must check it, because the settings do not change at that time. */
  expiresAtMs: z.int().nullable().default(null),
});
export type WorkerKey = z.infer<typeof workerKeySchema>;

const rateSchema = z.object({
  tier: z.string(),
  kind: z.enum(RATE_KINDS),
  nanodollarsPerSecond: z.int().min(0),
  effectiveFromMs: z.int(),
});

export const endpointSettingsSchema = z.object({
  endpointId: z.string().min(1),
  /** Stands in the ids of its jobs (core/job/id.ts). Brokers do not use it; older ones stored settings without it. */
  number: z.int().min(0).max(0xffff_ffff).default(0),
  tenantId: z.string().min(1),
  /** A broker of an earlier release stored its settings without it. */
  kind: z.enum(["queue", "load_balancer"]).default("queue"),
  /** `load_balancer` only: bytes that one request may carry, each way. */
  bodyMaxBytes: z.int().min(1).max(LB_BODY_MAX_BYTES).default(LB_BODY_DEFAULT_MAX_BYTES),
  /** Grows with each change; a broker never takes settings of a lower version. */
  version: z.int().min(1),
  paused: z.boolean(),
  maxAttempts: z.int().min(1).max(100),
  executionTimeoutMs: z.int(),
  ttlMs: z.int(),
  runRetentionMs: z.int(),
  runsyncRetentionMs: z.int(),
  /** Percent of the endpoint's rows and bytes that one tenant may keep. An earlier release had no such bound. */
  tenantSharePercent: z.int().min(1).max(100).default(100),
  upstreams: z.array(upstreamSchema),
  /** A broker of an earlier release stored its settings without them. */
  workerKeys: z.array(workerKeySchema).default([]),
  /** All prices of the tiers of its upstreams, its worker keys and the machines of its fleet. */
  rates: z.array(rateSchema),
  /** Null: no machine is started for it. Older settings lack it. */
  fleet: fleetSettingsSchema.nullable().default(null),
  /** Open to every tenant with a key. Older settings lack this, and then a broker must assume that it is open. */
  shared: z.boolean().default(true),
  /** Which routes of an OpenAI server the endpoint's tenants may reach (core/openai/routes.ts). */
  openaiRoutes: z.string().default(INFERENCE),
  /** Since when the endpoint is deleted, epoch ms; its broker then ends all that it has, and is never open again. */
  deletedAtMs: z.int().nullable().default(null),
});
export type EndpointSettings = z.infer<typeof endpointSettingsSchema>;
