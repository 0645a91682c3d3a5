// The option of a tenant's limits of calls, such as `run=2000/400,status=5000/none,cancel=default`.
import { type ChangedLimits, OPERATIONS, type OperationLimit } from "../../core/access/limits.ts";
import { type Fields, fieldsOf } from "../../core/json/value.ts";
import { WrongUse } from "../wrong-use.ts";

export const CALL_LIMITS = {
  type: "list",
  value: "LIST",
  about: "each key's calls in 10 s/at once: run=2000/400,status=5000/none; run=default",
  field: "limits",
} as const;

/** Reads what was typed. The function gives the field of a request that leaves the other operations as they are. */
export function limitsChange(typed: readonly string[]): (before: unknown) => { readonly limits: Fields | null } {
  const wanted = Object.fromEntries(typed.map(entryOf));
  return (before) => {
    const all = Object.entries({ ...fieldsOf(before), ...wanted });
    const changed = all.filter(([, limit]) => limit !== null);
    // Null: every operation has its default.
    return { limits: changed.length === 0 ? null : Object.fromEntries(changed) };
  };
}

/** Null: the default. What numbers may be is for the broker to say. */
function entryOf(entry: string): readonly [keyof ChangedLimits, OperationLimit | null] {
  const [, name, word, calls, open] = /^([\w-]+)=(?:(default)|(\d{1,15})\/(\d{1,15}|none))$/.exec(entry) ?? [];
  const operation = OPERATIONS.find((known) => known === name);
  if (operation === undefined) {
    const names = OPERATIONS.join(", ");
    throw new WrongUse(`--call-limits: "${entry}" is not as run=2000/400, run=2000/none or run=default, of ${names}`);
  }
  if (word !== undefined) return [operation, null];
  return [operation, { calls: Number(calls), open: open === "none" ? null : Number(open) }];
}
