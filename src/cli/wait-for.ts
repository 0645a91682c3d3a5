// Waiting for what comes up, or goes, on this machine.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;

/** Looks until there is something, and answers it; undefined: there was nothing until that time, epoch ms. */
export async function waitFor<T>(look: () => T | Promise<T>, lastMs: number): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined || Date.now() >= lastMs) return found;
    await sleep(POLL_MS);
  }
}
