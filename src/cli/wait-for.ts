// Waits for something on this machine to come up or to go.
import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 50;

/** Calls `look` until it returns something, and returns that; undefined: nothing came until `lastMs`, in epoch ms. */
export async function waitFor<T>(look: () => T | Promise<T>, lastMs: number): Promise<T> {
  for (;;) {
    const found = await look();
    if (found !== undefined || Date.now() >= lastMs) return found;
    await sleep(POLL_MS);
  }
}
