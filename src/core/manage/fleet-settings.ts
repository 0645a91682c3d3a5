// What the broker of an endpoint has to know of its fleet, made of the settings as they are stored and of its providers' offers.
import type { ScalingRule } from "../fleet/demand.ts";
import type { Candidate } from "../fleet/instance.ts";
import { INIT_DEFAULT_MS } from "../fleet/limits.ts";
import type { Day, Schedule } from "../fleet/schedule.ts";
import { fleetCandidates, type Hardware, type OfferingProvider } from "./fleet-candidates.ts";
import { INIT_TIMEOUT_MAX_SECONDS, INIT_TIMEOUT_MIN_SECONDS } from "./limits.ts";

/** Hours of a week at which workers are to be there, as people write them: `08:00` to `18:00`. */
export interface WrittenSchedule {
  readonly timeZone: string;
  readonly entries: readonly {
    readonly days: readonly Day[];
    readonly from: string;
    readonly to: string;
    readonly min: number;
  }[];
}

/** The settings as they are stored. Times in seconds. */
export interface StoredFleet extends Hardware {
  readonly image?: string | undefined;
  readonly workers: {
    readonly min: number;
    readonly max: number;
    readonly idleTimeout?: number | undefined;
    readonly slots: number;
  };
  readonly scaling:
    | { readonly type: "QUEUE_DELAY"; readonly queueDelay: number }
    | { readonly type: "REQUEST_COUNT"; readonly requestCount: number };
  readonly flashboot: "OFF" | "FLASHBOOT" | "PRIORITY_FLASHBOOT";
  readonly schedule: WrittenSchedule | null;
  readonly ceilingNanodollarsPerHour: number | null;
  readonly initTimeout?: number | undefined;
  /** What the environment of the workers says of it (`initTimeoutOfEnv`), which wins; null: nothing. */
  readonly initTimeoutOfEnv: number | null;
  readonly workerLifetime?: number | undefined;
}

/** As the broker has it; a member that is left out has the broker's own default. */
interface BrokerFleet {
  readonly rule: ScalingRule;
  readonly min: number;
  readonly max: number;
  readonly idleTimeoutMs?: number;
  readonly slots: number;
  readonly schedule: Schedule | null;
  readonly ceilingNanodollarsPerHour: number | null;
  readonly initTimeoutMs: number;
  readonly lifetimeMs?: number;
  readonly keepsStopped: boolean;
  readonly release: number;
  readonly candidates: readonly Candidate[];
}

/** Null: the endpoint has no fleet, because it has no image, or no provider offers what it selects. */
export function brokerFleet(
  fleet: StoredFleet,
  release: number,
  providers: readonly OfferingProvider[],
): BrokerFleet | null {
  if (fleet.image === undefined) return null;
  const candidates = fleetCandidates(fleet, providers);
  if (candidates.length === 0) return null;
  const { workers, scaling, flashboot, schedule, ceilingNanodollarsPerHour, workerLifetime } = fleet;
  const { min, max, slots, idleTimeout } = workers;
  return {
    rule: ruleOf(scaling),
    min,
    max,
    ...(idleTimeout === undefined ? {} : { idleTimeoutMs: idleTimeout * 1_000 }),
    slots,
    schedule: schedule === null ? null : readSchedule(schedule),
    ceilingNanodollarsPerHour,
    initTimeoutMs: initTimeoutSeconds(fleet) * 1_000,
    ...(workerLifetime === undefined ? {} : { lifetimeMs: workerLifetime * 1_000 }),
    keepsStopped: flashboot !== "OFF",
    release,
    candidates,
  };
}

function ruleOf(scaling: StoredFleet["scaling"]): ScalingRule {
  if (scaling.type === "REQUEST_COUNT") return { type: scaling.type, requests: scaling.requestCount };
  return { type: scaling.type, delayMs: Math.round(scaling.queueDelay * 1_000) };
}

function readSchedule({ timeZone, entries }: WrittenSchedule): Schedule {
  const read = entries.map(({ days, from, to, min }) => {
    return { days, fromMinute: minuteOf(from), toMinute: minuteOf(to), min };
  });
  return { timeZone, entries: read };
}

/** Minutes since midnight of `HH:MM`. */
function minuteOf(time: string): number {
  const [hours = "", minutes = ""] = time.split(":");
  return Number(hours) * 60 + Number(minutes);
}

/** For how long a worker may start. */
export function initTimeoutSeconds({
  initTimeout = INIT_DEFAULT_MS / 1_000,
  initTimeoutOfEnv = null,
}: {
  readonly initTimeout?: number | undefined;
  readonly initTimeoutOfEnv?: number | null | undefined;
}): number {
  return initTimeoutOfEnv ?? initTimeout;
}

/** The same as an environment of workers says it; null: it says nothing that is of use. */
export function initTimeoutOfEnv(env: Readonly<Record<string, string>>): number | null {
  const text = env.RUNPOD_INIT_TIMEOUT ?? "";
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  return seconds >= INIT_TIMEOUT_MIN_SECONDS && seconds <= INIT_TIMEOUT_MAX_SECONDS ? seconds : null;
}
