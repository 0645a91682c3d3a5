// Options of an endpoint's fleet, for a new endpoint and an old one, and the fields of the request that they make.
import {
  INIT_TIMEOUT_MAX_SECONDS,
  INIT_TIMEOUT_MIN_SECONDS,
  SLOTS_MAX,
  WORKER_LIFETIME_MAX_SECONDS,
  WORKER_LIFETIME_MIN_SECONDS,
} from "../../core/manage/limits.ts";
import { WrongUse } from "../wrong-use.ts";
import type { OptionSpecs, Values } from "./command.ts";
import { readJsonFile } from "./json-file.ts";

export const FLEET_OPTIONS = {
  providers: {
    type: "list",
    value: "LIST",
    about: "ids of the providers of its machines; default: its tenant's default ones; none: no fleet (default)",
    field: "providers",
  },
  "worker-slots": {
    type: "number",
    value: "N",
    min: 1,
    max: SLOTS_MAX,
    about: "jobs that a worker of the fleet runs at once (1)",
    field: "workers",
  },
  "max-cost": {
    type: "text",
    value: "DOLLARS",
    about: "that all of its machines may cost in an hour, such as 2.5; none: no bound (none)",
    field: "maxCostPerHour",
  },
  schedule: {
    type: "text",
    value: "FILE",
    about: "JSON of hours at which workers are there: timeZone, entries of days, from, to, min",
    field: "schedule",
  },
  "init-timeout": {
    type: "duration",
    value: "TIME",
    min: INIT_TIMEOUT_MIN_SECONDS,
    max: INIT_TIMEOUT_MAX_SECONDS,
    about: "in which a worker has to ask for its first job (7m)",
    field: "initTimeout",
  },
  "worker-lifetime": {
    type: "duration",
    value: "TIME",
    min: WORKER_LIFETIME_MIN_SECONDS,
    max: WORKER_LIFETIME_MAX_SECONDS,
    about: "after which a worker is replaced (1d)",
    field: "workerLifetime",
  },
} as const satisfies OptionSpecs;

/** The fields whose values are not as they were typed. `withoutSchedule`: of a change. */
export function fleetFieldsOf(options: Values<typeof FLEET_OPTIONS>, withoutSchedule = false) {
  const { providers, schedule: file, "worker-slots": slots, "max-cost": cost } = options;
  if (withoutSchedule && file !== undefined) throw new WrongUse("--schedule or --without-schedule, not both");
  return {
    ...(providers === undefined ? {} : { providers: providersOf(providers) }),
    ...(slots === undefined ? {} : { workers: { slots } }),
    ...(cost === "none" ? { maxCostPerHour: null } : {}),
    ...(file === undefined ? {} : { schedule: readJsonFile("schedule", file) }),
    ...(withoutSchedule ? { schedule: null } : {}),
  };
}

/** Two words stand for what cannot be typed: no list, and an empty one. */
function providersOf(typed: readonly string[]): readonly string[] | null {
  const word = typed.join();
  if (word === "default") return null;
  return word === "none" ? [] : typed;
}
