// Facts found out about upstreams, kept for a while in this isolate only: they save calls, and nothing depends on them.
import type { Assignment } from "../contract/dispatch.ts";
import { UPSTREAM_FACTS_MAX } from "../core/limits.ts";

type About = Pick<Assignment, "endpointId" | "upstream">;

export class UpstreamFacts {
  readonly #forMs: number;
  /** The order is by age: the fact that was noted last is last. */
  readonly #untilMs = new Map<string, number>();

  constructor(forMs: number) {
    this.#forMs = forMs;
  }

  note(of: About, nowMs: number, fact = ""): void {
    const key = keyOf(of, fact);
    this.#untilMs.delete(key);
    const [oldest] = this.#untilMs.size >= UPSTREAM_FACTS_MAX ? this.#untilMs.keys() : [];
    if (oldest !== undefined) this.#untilMs.delete(oldest);
    this.#untilMs.set(key, nowMs + this.#forMs);
  }

  holds(of: About, nowMs: number, fact = ""): boolean {
    return nowMs < (this.#untilMs.get(keyOf(of, fact)) ?? 0);
  }
}

/** A fact about an upstream does not hold for its next address or credential, so both are part of the key. */
function keyOf({ endpointId, upstream: { id, url, credential } }: About, fact: string): string {
  return JSON.stringify([endpointId, id, url, credential, fact]);
}
