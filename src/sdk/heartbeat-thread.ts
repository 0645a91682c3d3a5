// The thread of heartbeat.ts: a heartbeat in each interval, one soon after a handler has begun, without which a worker that dies early looks
// like one that has never got its job, and the one by which the worker leaves.
import { parentPort, workerData } from "node:worker_threads";
import {
  HeartbeatCall,
  type HeartbeatSettings,
  type RunningJobs,
  type ThreadCall,
  type ThreadReply,
} from "./heartbeat-call.ts";

/** Jobs of a few ms, whose report comes soon enough, cost no heartbeat of their own. */
const FIRST_AFTER_MS = 10;

// heartbeat.ts is the only one that starts this file, and gives it just these.
const settings = workerData as HeartbeatSettings;
const call = new HeartbeatCall(settings);
let jobIds: readonly string[] = [];
/** Of each job whose handler runs, when it is named first. */
const firsts = new Map<string, NodeJS.Timeout>();

parentPort?.on("message", (told: ThreadCall) => {
  if (told.kind === "jobs") name(told.jobs);
  else void leave();
});
setInterval(beat, settings.intervalMs);

function name({ ids, working }: RunningJobs): void {
  jobIds = ids;
  const running = new Set(working);
  for (const [id, timer] of firsts) {
    if (running.has(id)) continue;
    clearTimeout(timer);
    firsts.delete(id);
  }
  for (const id of running) if (!firsts.has(id)) firsts.set(id, setTimeout(beat, FIRST_AFTER_MS));
}

async function beat(): Promise<void> {
  // It names those that began a moment ago as well.
  for (const timer of firsts.values()) clearTimeout(timer);
  reply({ kind: "beat", failure: await call.send(jobIds) });
}

async function leave(): Promise<void> {
  reply({ kind: "left", mayBeAnswered: await call.sendLeaving(jobIds) });
}

function reply(told: ThreadReply): void {
  parentPort?.postMessage(told);
}
