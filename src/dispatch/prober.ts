// The entrypoint that probes a worker of a load-balanced endpoint: GET /ping, 200 ready, 204 starting, else unhealthy.

import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { ProberApi } from "../contract/load-balancer.ts";
import type { Upstream } from "../contract/settings.ts";
import { messageOf } from "../core/failure.ts";
import type { ProbedHealth } from "../core/lb/pool.ts";
import { LB_PING_TIMEOUT_MS } from "../core/limits.ts";
import { log } from "../log.ts";
import { askStatus } from "./attempt.ts";
import { openCredential } from "./carry.ts";

export class Prober extends WorkerEntrypoint<Env> implements ProberApi {
  /** Never throws: a worker that cannot be asked is unhealthy. */
  async ping(upstream: Upstream): Promise<ProbedHealth> {
    const config = readConfig(this.env);
    try {
      const credential = await openCredential(upstream, config.encryptionKey);
      const request = { url: `${upstream.url.replace(/\/+$/, "")}/ping`, method: "GET" };
      const status = await askStatus(request, { credential, timeoutMs: LB_PING_TIMEOUT_MS }, config.reach);
      if (status === 200) return "ready";
      return status === 204 ? "starting" : "unhealthy";
    } catch (cause) {
      log("ping_failed", { upstreamId: upstream.id, reason: messageOf(cause) });
      return "unhealthy";
    }
  }
}
