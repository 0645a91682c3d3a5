// The settings of an endpoint as they travel from D1 to its broker: everything it needs to dispatch and price without D1.
import { z } from "zod";
import { LB_BODY_DEFAULT_MAX_BYTES, LB_BODY_MAX_BYTES } from "../core/limits.ts";
import { INFERENCE } from "../core/openai/routes.ts";

/** One worker address that we push to. `credential` is sealed (outbound/credentials.ts), null when it needs none. */
const upstreamSchema = z.object({
  id: z.string().min(1),
  url: z.string().min(1),
  dialect: z.enum(["runpod", "http", "openai"]),
  /** `runpod` only: a `handler.py --rp_serve_api`, called by `/runsync`. */
  local: z.boolean().default(false),
  slots: z.int().min(1).max(1_000),
  tier: z.string().min(1),
  rateKind: z.enum(["flex", "active"]),
  credential: z.string().nullable(),
});
export type Upstream = z.infer<typeof upstreamSchema>;

/** A key that workers fetch jobs with. What they cost stands here, so that no claim of a worker changes the bill. */
const workerKeySchema = z.object({
  id: z.string().min(1),
  /** Hex of HMAC-SHA-256(pepper, key). */
  digest: z.string().min(1),
  tier: z.string().min(1),
  rateKind: z.enum(["flex", "active"]),
  /** Jobs that one worker of this key runs at once. */
  slots: z.int().min(1).max(1_000),
  /** From then on it opens nothing; no change of the settings tells of it. */
  expiresAtMs: z.int().nullable().default(null),
});
export type WorkerKey = z.infer<typeof workerKeySchema>;

const rateSchema = z.object({
  tier: z.string(),
  kind: z.enum(["flex", "active"]),
  nanodollarsPerSecond: z.int().min(0),
  effectiveFromMs: z.int(),
});

export const endpointSettingsSchema = z.object({
  endpointId: z.string().min(1),
  /** In the ids of its jobs (core/job/id.ts). Brokers do not use it, and those of an earlier release stored settings without it. */
  number: z.int().min(0).max(0xffff_ffff).default(0),
  tenantId: z.string().min(1),
  /** A broker of an earlier release stored its settings without it. */
  kind: z.enum(["queue", "load_balancer"]).default("queue"),
  /** `load_balancer` only: bytes that one request may carry, each way. */
  bodyMaxBytes: z.int().min(1).max(LB_BODY_MAX_BYTES).default(LB_BODY_DEFAULT_MAX_BYTES),
  /** Grows with each change; a broker never goes back. */
  version: z.int().min(1),
  paused: z.boolean(),
  maxAttempts: z.int().min(1).max(100),
  executionTimeoutMs: z.int(),
  ttlMs: z.int(),
  runRetentionMs: z.int(),
  runsyncRetentionMs: z.int(),
  /** Of the rows and bytes of the endpoint what one tenant may keep. An earlier release had no such bound. */
  tenantSharePercent: z.int().min(1).max(100).default(100),
  upstreams: z.array(upstreamSchema),
  /** A broker of an earlier release stored its settings without them. */
  workerKeys: z.array(workerKeySchema).default([]),
  rates: z.array(rateSchema),
  /** Open to every tenant with a key. Settings of an earlier release do not say it, and then nothing may rest on its being closed. */
  shared: z.boolean().default(true),
  /** Which routes of an OpenAI server its tenants reach (core/openai/routes.ts). */
  openaiRoutes: z.string().default(INFERENCE),
});
export type EndpointSettings = z.infer<typeof endpointSettingsSchema>;
