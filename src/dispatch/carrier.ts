// The entrypoint that a broker starts for one leased job. It is stateless: only the lease connects it with the broker.

import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "../config.ts";
import type { Assignment, CarrierApi } from "../contract/dispatch.ts";
import { messageOf } from "../core/failure.ts";
import { log } from "../log.ts";
import { carry, openCredential } from "./carry.ts";
import { carryDeps } from "./carry-deps.ts";
import { cancelUpstreamJob } from "./runpod.ts";

export class Carrier extends WorkerEntrypoint<Env> implements CarrierApi {
  /** Runs the attempt and reports to the broker. waitUntil keeps it running if the object that called is aborted. */
  async carry(assignment: Assignment): Promise<void> {
    const work = carry(assignment, carryDeps(this.env, assignment.endpointId));
    this.ctx.waitUntil(work);
    await work;
  }

  /** Requests a `runpod` upstream to stop a job that nobody waits for any more; best effort. */
  async stop(call: Parameters<CarrierApi["stop"]>[0]): Promise<void> {
    const work = this.#stop(call);
    this.ctx.waitUntil(work);
    await work;
  }

  async #stop({ upstream, upstreamJobId }: Parameters<CarrierApi["stop"]>[0]): Promise<void> {
    const config = readConfig(this.env);
    try {
      const credential = await openCredential(upstream, config.encryptionKey);
      const answered = await cancelUpstreamJob({ url: upstream.url, credential, upstreamJobId }, config.reach);
      if (!answered) log("stop_unanswered", { upstreamId: upstream.id });
    } catch (cause) {
      log("stop_failed", { upstreamId: upstream.id, reason: messageOf(cause) });
    }
  }
}
