// The thread of heartbeat.ts.
import { parentPort, workerData } from "node:worker_threads";
import { HeartbeatCall, type HeartbeatSettings } from "./heartbeat-call.ts";

// heartbeat.ts is the only one that starts this file, and gives it just these.
const settings = workerData as HeartbeatSettings;
const call = new HeartbeatCall(settings);
let jobIds: readonly string[] = [];

parentPort?.on("message", (ids: readonly string[]) => {
  jobIds = ids;
});
setInterval(async () => parentPort?.postMessage(await call.send(jobIds)), settings.intervalMs);
