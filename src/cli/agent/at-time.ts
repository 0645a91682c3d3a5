// A timer by the time of day.

/** A timer of Node's stands still while the machine sleeps, and holds no longer than 24 days. */
const LOOK_EVERY_MS = 1_000;

/** Calls `due` once, at an epoch time in ms: at once if it has passed. Returns what calls it off. */
export function atTime(timeMs: number, due: () => void): () => void {
  let timer: NodeJS.Timeout;
  const look = (): void => {
    const leftMs = timeMs - Date.now();
    if (leftMs <= 0) due();
    else timer = setTimeout(look, Math.min(leftMs, LOOK_EVERY_MS));
  };
  timer = setTimeout(look, Math.max(0, Math.min(timeMs - Date.now(), LOOK_EVERY_MS)));
  return () => clearTimeout(timer);
}
