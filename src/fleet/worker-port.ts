// At which port a load-balanced worker listens: its variable PORT tells it, as at RunPod (docs/wire.md 6).

/** Null: it is no port, a whole number from 1 to 65535. */
export function workerPort(PORT: string | undefined): number | null {
  const port = Number(PORT);
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? port : null;
}
