// The thread of heartbeat.ts. It uses node:http, because a second copy of fetch would take ten times the memory.
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { parentPort, workerData } from "node:worker_threads";

export interface HeartbeatSettings {
  readonly pingUrl: string;
  readonly key: string;
  readonly release: string;
  readonly intervalMs: number;
}

// heartbeat.ts is the only one that starts this file, and gives it just these.
const { pingUrl, key, release, intervalMs } = workerData as HeartbeatSettings;
let jobIds: readonly string[] = [];

parentPort?.on("message", (ids: readonly string[]) => {
  jobIds = ids;
});
ping();
setInterval(ping, intervalMs);

function ping(): void {
  const url = new URL(pingUrl);
  if (jobIds.length > 0) url.searchParams.set("job_id", jobIds.join(","));
  const request = url.protocol === "https:" ? requestHttps : requestHttp;
  const headers = { authorization: key, "user-agent": `Waybill-Worker/${release}` };
  const call = request(url, { headers, timeout: 2 * intervalMs }, (answer) => {
    answer.resume();
    const { statusCode = 0 } = answer;
    parentPort?.postMessage(statusCode < 300 ? null : `${statusCode}`);
  });
  call.on("timeout", () => call.destroy(new Error("no answer in time")));
  call.on("error", (error) => parentPort?.postMessage(error.message));
  call.end();
}
