// Where a deployed Worker answers, and whether it does.
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../core/failure.ts";

const POLL_MS = 1_000;
const ANSWER_MAX_MS = 10_000;

/**
 * The address among what wrangler names as leading to the Worker, which also lists its schedules and queues: the
 * operator's own, else a domain, else the one of workers.dev. Null: there is none, such as where only a route with a
 * wildcard leads to it.
 */
export function addressOf(targets: readonly string[], publicUrl: string | null): string | null {
  if (publicUrl !== null) return publicUrl;
  const domain = targets.flatMap((target) => /^([a-z0-9.-]+) \(custom domain/i.exec(target)?.[1] ?? [])[0];
  if (domain !== undefined) return `https://${domain}`;
  return targets.find((target) => /^https?:\/\/[^/*]+$/.test(target)) ?? null;
}

/** Waits until the Worker answers and its settings are complete. Throws what it answered last, if it never does. */
export async function waitUntilUp(url: string, waitMs: number): Promise<void> {
  const lastMs = Date.now() + waitMs;
  for (;;) {
    const problem = await problemAt(`${url}/healthz`);
    if (problem === null) return;
    if (Date.now() >= lastMs) throw new Error(`${url} is not up after ${Math.round(waitMs / 1_000)} s: ${problem}`);
    await sleep(Math.min(POLL_MS, Math.max(0, lastMs - Date.now())));
  }
}

/** Null: it is up. A new address of workers.dev has no name and no certificate for the first minute. */
async function problemAt(url: string): Promise<string | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_MAX_MS), redirect: "manual" });
    if (response.ok) return null;
    return `it answers ${response.status} ${(await response.text()).slice(0, 300)}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return messageOf(cause);
  }
}
