// When a worker is to end: at a signal, or at the time that its environment sets (WAYBILL_WORKER_ENDS_AT), from which on its machine may be
// taken away from it. Either way it asks for no more jobs, and ends when the last one is done.
import type { Variables } from "./environment.ts";
import { untilSignal } from "./until-signal.ts";

const VARIABLE = "WAYBILL_WORKER_ENDS_AT";
/** The clock is looked at once an hour at least: it may be set, a machine may sleep, and no timer runs for over 24 days. */
const LOOK_EVERY_MS = 3_600_000;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})$/;

/** What ends a worker, for its log. */
export type EndReason = NodeJS.Signals | typeof VARIABLE;

/**
 * Resolves with what came first. A signal after the end's time is still the first one, which lets jobs go on. Throws one sentence where
 * the time is wrong.
 */
export function untilEnd(variables: Variables): Promise<EndReason> {
  const atMs = readEndsAt(variables);
  const signal = untilSignal();
  return atMs === null ? signal : Promise.race([signal, untilTime(atMs)]);
}

/** Epoch ms; null: the worker has no such time. */
function readEndsAt(variables: Variables): number | null {
  const text = variables[VARIABLE]?.trim() ?? "";
  if (text === "") return null;
  const atMs = TIME.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(atMs)) throw new Error(`${VARIABLE} must be a time such as 2027-01-31T12:00:00Z, not "${text}"`);
  return atMs;
}

function untilTime(atMs: number): Promise<typeof VARIABLE> {
  return new Promise((resolve) => {
    const look = () => {
      const leftMs = atMs - Date.now();
      if (leftMs <= 0) resolve(VARIABLE);
      else setTimeout(look, Math.min(leftMs, LOOK_EVERY_MS)).unref();
    };
    look();
  });
}
