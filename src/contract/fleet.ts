// The fleet of an endpoint between D1, its broker and the entrypoint that calls providers.
import * as z from "zod";
import type { Result } from "../core/failure.ts";
import { IDLE_DEFAULT_MS, INIT_DEFAULT_MS, LIFETIME_DEFAULT_MS } from "../core/fleet/limits.ts";
import type { ProviderAnswer, ProviderOperation } from "../core/fleet/provider.ts";
import { SCALING_REASONS } from "../core/fleet/scaler.ts";
import { DAYS } from "../core/fleet/schedule.ts";
import type { RATE_KINDS } from "../core/job/pricing.ts";

/**
 * `none` tells what would be done. `webhook`: the operator's own hook gets all that is wanted, and answers what exists. `runpod`:
 * RunPod's pods. `local`: an agent on a machine of one's own, by the protocol of `webhook`.
 */
export const PROVIDER_KINDS = ["none", "webhook", "runpod", "local"] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

/** A kind of machine that a provider has. */
const offerSchema = z.object({
  /** Of the catalogue, or `CPU` (core/manage/fleet-candidates.ts). */
  gpuTypeId: z.string().min(1),
  /** Of one GPU, or of a machine without one. */
  priceNanodollarsPerHour: z.int().min(0),
  /** By which its work is billed; left out: by the tier of its type's pool. */
  tier: z.string().min(1).optional(),
});
export type Offer = z.infer<typeof offerSchema>;

/** A provider as it is stored. */
export const storedProviderSchema = z.object({
  id: z.string().min(1),
  tenantId: z.string().min(1),
  name: z.string(),
  kind: z.enum(PROVIDER_KINDS),
  /** `webhook`, `local`: where the hook is. `runpod`: null for RunPod's own host. `none`: null. */
  url: z.string().nullable(),
  /** `webhook`, `local`: the secret that signs, as Standard Webhooks have it. `runpod`: an API key. Sealed; `none`: null. */
  sealedCredential: z.string().nullable(),
  offers: z.array(offerSchema),
  /** Endpoints of its tenant that name no provider, and have an image, use it. */
  isDefault: z.boolean(),
  version: z.int(),
  createdAtMs: z.int(),
});
export type StoredProvider = z.infer<typeof storedProviderSchema>;

const candidateSchema = z.object({
  providerId: z.string().min(1),
  gpuTypeId: z.string().min(1),
  priceNanodollarsPerHour: z.int().min(0),
  tier: z.string().min(1),
  canStop: z.boolean(),
});

const scheduleSchema = z.object({
  timeZone: z.string(),
  entries: z.array(
    z.object({
      days: z.array(z.enum(DAYS)),
      fromMinute: z.int().min(0).max(1_439),
      toMinute: z.int().min(0).max(1_440),
      min: z.int().min(0),
    }),
  ),
});

/** What a broker has to know to keep the machines of its endpoint; of the workers' image and environment it needs nothing. */
export const fleetSettingsSchema = z.object({
  rule: z.discriminatedUnion("type", [
    z.object({ type: z.literal("QUEUE_DELAY"), delayMs: z.int().min(1) }),
    z.object({ type: z.literal("REQUEST_COUNT"), requests: z.int().min(1) }),
  ]),
  min: z.int().min(0),
  max: z.int().min(0),
  idleTimeoutMs: z.int().min(0).default(IDLE_DEFAULT_MS),
  /** Jobs that one worker runs at once. */
  slots: z.int().min(1).default(1),
  schedule: scheduleSchema.nullable().default(null),
  /** The most that all machines may cost together, nano-dollars an hour; null: no bound. */
  ceilingNanodollarsPerHour: z.int().min(0).nullable().default(null),
  initTimeoutMs: z.int().min(1).default(INIT_DEFAULT_MS),
  lifetimeMs: z.int().min(1).default(LIFETIME_DEFAULT_MS),
  /** Idle workers are stopped instead of ended where that can be done (FlashBoot). */
  keepsStopped: z.boolean().default(false),
  /** The number of the release that new workers are made by. */
  release: z.int().min(1),
  candidates: z.array(candidateSchema),
});
export type FleetSettings = z.infer<typeof fleetSettingsSchema>;

/** One machine in a call to its provider. */
export interface CalledMachine {
  readonly instanceId: string;
  /** The provider's own id; null: it is not known. */
  readonly ref: string | null;
  readonly gpuTypeId: string;
  readonly tier: string;
  readonly rateKind: (typeof RATE_KINDS)[number];
  /** Its hard end, epoch ms. */
  readonly endsAtMs: number;
}

/** A call to a provider, as a broker makes it. */
export interface ProviderCall {
  readonly endpointId: string;
  readonly providerId: string;
  readonly operation: ProviderOperation;
  /** Null: the call is a list. */
  readonly machine: CalledMachine | null;
  /**
   * All machines that this provider is to have for the endpoint once the call is done, for providers that take the whole state. The
   * number rises with each call, so that a provider can tell an older state that comes late.
   */
  readonly desired: {
    readonly number: number;
    readonly machines: readonly (CalledMachine & { readonly state: "running" | "stopped" })[];
  };
}

/** The side of the entrypoint that a broker may call. It answers within 30 s, and throws only for faults of ours. */
export interface FleetOperatorApi {
  operate(call: ProviderCall): Promise<ProviderAnswer>;
}

export const decisionSchema = z.object({
  /** Counts the decisions of the endpoint. */
  number: z.int(),
  atMs: z.number(),
  from: z.int(),
  to: z.int(),
  reason: z.enum(SCALING_REASONS),
  /** What it was made of: jobs, free slots of others, bounds, and the machines that were there. */
  inputs: z.record(z.string(), z.number()),
});
/** One change of how many workers are wanted. */
export type Decision = z.infer<typeof decisionSchema>;

/** The calls about a fleet that the edge makes to its broker. */
export interface FleetApi {
  /** The newest decisions below a number, newest first. Null: the endpoint is not the caller's. */
  listDecisions(call: {
    readonly tenantId: string;
    readonly below: number;
    readonly limit: number;
  }): Promise<readonly Decision[] | null>;
  /** Asks the providers of the endpoint what they have: a machine that no record owns is ended. Nothing is waited for. */
  sweepFleet(): Promise<void>;
  /** Sees to it that so many workers are there until then, epoch ms, as far as the endpoint may have them. */
  prewarm(call: {
    readonly tenantId: string;
    readonly settingsVersion: number;
    readonly workers: number;
    readonly untilMs: number;
  }): Promise<Result<{ readonly wanted: number }>>;
}
