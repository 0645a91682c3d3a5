// Is loaded into a worker before its file (`--import`), and ends it when the process that has started it is gone, such as by kill -9. It looks
// from a thread of its own, as a handler may keep the main thread busy for as long as it likes.
import { isMainThread, Worker, workerData } from "node:worker_threads";

const LEASH = "waybill-leash";
const LOOKS_EVERY_MS = 500;
/** For the jobs that run. */
const ENDS_MAX_MS = 3_000;

// Threads of the worker's own load this file, too, as they get its options.
if (isMainThread) new Worker(new URL(import.meta.url), { workerData: LEASH, execArgv: [] }).unref();
else if (workerData === LEASH) watchParent(process.ppid);

function watchParent(parent: number): void {
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    process.kill(process.pid, "SIGTERM");
    setTimeout(killAll, ENDS_MAX_MS);
  }, LOOKS_EVERY_MS);
}

/** What the worker has started is in its group. A process that it has forked has this file, too, and leads no group. */
function killAll(): void {
  try {
    process.kill(-process.pid, "SIGKILL");
  } catch {
    process.kill(process.pid, "SIGKILL");
  }
}
