// One structured line an event. Never bodies, keys, secrets or lease tokens: callers pass named facts only.

/** Writes one line of JSON; `event` is a stable name such as `lease_lost`. */
export function log(event: string, facts: Readonly<Record<string, string | number | boolean | null>>): void {
  console.log(JSON.stringify({ event, ...facts }));
}
