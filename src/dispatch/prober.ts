// The entrypoint that asks a worker of a load-balanced endpoint how it is: GET /ping, 200 ready, 204 starting, else unhealthy.
import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { ProberApi } from "../contract/load-balancer.ts";
import type { Upstream } from "../contract/settings.ts";
import type { Reach } from "../core/access/reach.ts";
import type { ProbedHealth } from "../core/lb/pool.ts";
import { LB_PING_TIMEOUT_MS } from "../core/limits.ts";
import { log } from "../log.ts";
import { callUrl } from "../outbound/call.ts";
import { upstreamHeaders } from "./attempt.ts";
import { openCredential } from "./carry.ts";

export class Prober extends WorkerEntrypoint<Env> implements ProberApi {
  /** Never throws: what cannot be asked is unhealthy. */
  async ping(upstream: Upstream): Promise<ProbedHealth> {
    const config = readConfig(this.env);
    try {
      const credential = await openCredential(upstream, config.encryptionKey);
      return await askHealth(upstream.url, upstreamHeaders(credential, null), config.reach);
    } catch (cause) {
      log("ping_failed", { upstreamId: upstream.id, reason: cause instanceof Error ? cause.message : String(cause) });
      return "unhealthy";
    }
  }
}

async function askHealth(url: string, headers: Readonly<Record<string, string>>, reach: Reach): Promise<ProbedHealth> {
  const result = await callUrl(
    {
      url: `${url.replace(/\/+$/, "")}/ping`,
      method: "GET",
      headers,
      totalMs: LB_PING_TIMEOUT_MS,
      idleMs: LB_PING_TIMEOUT_MS,
    },
    reach,
  );
  if (result.kind !== "response") return "unhealthy";
  // The body says nothing that is needed, and may be endless.
  result.close();
  if (result.status === 200) return "ready";
  return result.status === 204 ? "starting" : "unhealthy";
}
