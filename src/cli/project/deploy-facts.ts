// What differs between a template or endpoint as it is and as a deploy makes it, by the names of its fields.

import { type Fields, fieldsOf } from "../../core/json/value.ts";
import { type FieldChange, fieldChanges, hiddenChanges } from "../../core/manage/changes.ts";
import type { ProjectSettings } from "./settings.ts";

type Variables = Readonly<Record<string, string>>;

/** One of the two, before and after. */
export interface Difference {
  /** By `factsOf`; null: it is not there yet. */
  readonly before: Fields | null;
  /** The fields that a request sets. */
  readonly after: Fields;
  readonly envBefore: Variables;
  readonly envAfter: Variables;
  /** What waybill.json names of it, by `factsOf`. */
  readonly named: Fields;
}

export interface Compared {
  readonly action: "create" | "change" | "keep";
  /** Of a variable of the environment without its value, which may be a secret. */
  readonly changes: readonly FieldChange[];
  /** What is named and is so already, and all variables that stay. */
  readonly kept: readonly string[];
}

export function compare({ before, after, envBefore, envAfter, named }: Difference): Compared {
  const changes = [
    ...fieldChanges(before ?? {}, { ...before, ...after }),
    ...hiddenChanges("env", envBefore, envAfter),
  ];
  if (before === null) return { action: "create", changes, kept: [] };
  const changed = new Set(changes.map(({ field }) => field));
  const fields = [...Object.keys(named), ...Object.keys(envAfter).map((name) => `env.${name}`)];
  return {
    action: changes.length === 0 ? "keep" : "change",
    changes,
    kept: fields.filter((field) => !changed.has(field)),
  };
}

/** Objects whose members are set one by one. */
const NESTED = ["gpu", "workers", "retention"];

/**
 * Settings by the names of their fields, those inside others as `workers.max`. What says as little as nothing, such as an empty list, is null,
 * as the broker gives some fields so and leaves out others.
 */
export function factsOf(settings: object): Fields {
  const given = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    given.flatMap(([name, value]) => {
      const members = NESTED.includes(name) ? fieldsOf(value) : null;
      if (members === null) return [[name, isNothing(value) ? null : value]];
      return Object.entries(members).map(([member, inner]) => [`${name}.${member}`, isNothing(inner) ? null : inner]);
    }),
  );
}

function isNothing(value: unknown): boolean {
  return value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0);
}

/** The settings that a template has beside image and environment, and gives to an endpoint. */
export function containerOf({ args, disk, ports, registry }: Pick<ProjectSettings["settings"], ContainerField>) {
  return { args, disk, ports, registry };
}

export type ContainerField = "args" | "disk" | "ports" | "registry";
