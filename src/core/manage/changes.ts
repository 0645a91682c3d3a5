// The difference of two states of a thing, field by field: for the audit and for releases. Neither state may contain a secret;
// `hiddenChanges` states which variables of an environment differ without their values.

/** A changed field; null: it had no value before, or has none any more. */
export interface FieldChange {
  readonly field: string;
  readonly old: unknown;
  readonly new: unknown;
}

/** The fields that differ, in the order of the newer state. Values are compared as JSON. */
export function fieldChanges(
  old: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
): FieldChange[] {
  const fields = [...new Set([...Object.keys(now), ...Object.keys(old)])];
  return fields.flatMap((field) => {
    const change = { field, old: old[field] ?? null, new: now[field] ?? null };
    return JSON.stringify(change.old) === JSON.stringify(change.new) ? [] : [change];
  });
}

/** In place of a value that may be a secret. */
export const HIDDEN = "(hidden)";

/** Which names of a map got another value, were added or went away: `env.TOKEN`, without any value. */
export function hiddenChanges(
  field: string,
  old: Readonly<Record<string, string>>,
  now: Readonly<Record<string, string>>,
): FieldChange[] {
  const names = [...new Set([...Object.keys(now), ...Object.keys(old)])].filter((name) => old[name] !== now[name]);
  return names.map((name) => ({
    field: `${field}.${name}`,
    old: Object.hasOwn(old, name) ? HIDDEN : null,
    new: Object.hasOwn(now, name) ? HIDDEN : null,
  }));
}
