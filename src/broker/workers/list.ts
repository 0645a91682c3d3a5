// Shows the workers of an endpoint to people: RunPod's counts in /health, and a list with each one's state and reason.
import type { Health } from "../../contract/broker.ts";
import type { Upstream } from "../../contract/settings.ts";
import type { WorkerView } from "../../contract/worker.ts";
import { showJobId } from "../../core/job/id.ts";
import { WORKER_JOBS_NAMED_MAX, WORKER_QUIET_AFTER_MS, WORKER_SICK_SHOWN_MS } from "../../core/limits.ts";
import { absenceOf } from "../../core/scheduling/worker-absence.ts";
import type { RosterWorker } from "../../core/scheduling/worker-roster.ts";
import { absentMachines, lineOf, machineView } from "../fleet/worker-lines.ts";
import { WORKER_BYTES, WORKERS_MOST_BYTES } from "../jobs/egress-bytes.ts";
import type { OverJobs } from "../jobs/jobs.ts";
import type { LbSlots } from "../lb/slots.ts";
import { lbLines } from "../lb/worker-lines.ts";
import { NO_RATE, NOT_KNOWN_OF_CALLED } from "./called-line.ts";

interface Parts extends OverJobs {
  readonly lb: LbSlots;
}

const STATE_OF_ABSENCE = {
  failed_start: "UNHEALTHY",
  unhealthy: "UNHEALTHY",
  shut_down: "UNHEALTHY",
  restarting: "INITIALIZING",
  starting: "INITIALIZING",
  ending: "THROTTLED",
  drained: "THROTTLED",
} as const;
/** How RunPod's health counts a worker in each state. */
const COUNTED_AS = {
  RUNNING: "running",
  IDLE: "idle",
  INITIALIZING: "initializing",
  THROTTLED: "throttled",
  UNHEALTHY: "unhealthy",
} as const satisfies Readonly<Record<WorkerView["state"], keyof Health["workers"]>>;

export class WorkerList {
  readonly #parts: Parts;
  /** How many jobs the list that is being made may still name: each name costs the reading of a row. */
  #namesLeft = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Counts workers by their state in the list: one with four slots is one. `ready`: has room for a job now. */
  counts(nowMs: number): Health["workers"] {
    const { endpoint, pullSlots } = this.#parts;
    const counts = { idle: 0, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 };
    const add = (state: WorkerView["state"], isReady: boolean) => {
      counts[COUNTED_AS[state]] += 1;
      if (isReady) counts.ready += 1;
    };
    if (endpoint.settings?.kind === "load_balancer") {
      for (const { view, isReady } of lbLines(this.#parts, nowMs)) add(view.state, isReady);
      return counts;
    }
    for (const upstream of endpoint.settings?.upstreams ?? []) {
      add(this.#stateOfUpstream(upstream), this.#isReadyUpstream(upstream));
    }
    for (const worker of pullSlots.listed()) {
      add(this.#stateOf(worker, nowMs), endpoint.pool.hasRoomOn(worker.holderId, nowMs));
    }
    for (const instance of absentMachines(this.#parts, nowMs)) add(lineOf(this.#parts, instance, nowMs).state, false);
    return counts;
  }

  /** Returns the list in a turn that has room for it. Null: the endpoint is another tenant's. */
  leave(tenantId: string): Promise<readonly WorkerView[] | null> {
    return this.#parts.egress.leave(tenantId, WORKERS_MOST_BYTES, () => {
      const value = this.#list(tenantId, Date.now());
      return { value, bytes: value === null ? 0 : value.length * WORKER_BYTES };
    });
  }

  /** Null: the endpoint is another tenant's. Jobs of other tenants are counted, but not named. */
  #list(tenantId: string, nowMs: number): readonly WorkerView[] | null {
    this.#namesLeft = WORKER_JOBS_NAMED_MAX;
    const { settings } = this.#parts.endpoint;
    if (settings?.tenantId !== tenantId) return null;
    if (settings.kind === "load_balancer") return lbLines(this.#parts, nowMs).map(({ view }) => view);
    const pulling = this.#parts.pullSlots.listed().map((worker) => this.#viewWorker(worker, tenantId, nowMs));
    const absent = absentMachines(this.#parts, nowMs).map((instance) => lineOf(this.#parts, instance, nowMs));
    return [...pulling.filter((view) => view !== null), ...absent, ...this.#viewUpstreams(tenantId)];
  }

  #viewWorker(worker: RosterWorker, tenantId: string, nowMs: number): WorkerView | null {
    const { pullSlots, machines } = this.#parts;
    const key = pullSlots.listedKeyOf(worker.keyId);
    if (key === null) return null;
    const instance = machines.get(worker.keyId);
    return {
      id: worker.workerId,
      kind: "pull",
      state: this.#stateOf(worker, nowMs),
      tier: key.tier,
      rateKind: key.rateKind,
      slots: key.slots,
      ...this.#jobsOn(worker.holderId, tenantId),
      lastSeenAtMs: worker.lastSeenAtMs,
      keyId: worker.keyId,
      gpu: worker.gpu,
      version: worker.version,
      draining: worker.draining,
      reason: this.#reasonOf(worker, nowMs),
      machine: instance === undefined ? null : machineView(instance),
    };
  }

  #viewUpstreams(tenantId: string): WorkerView[] {
    const { endpoint } = this.#parts;
    return (endpoint.settings?.upstreams ?? []).map((upstream) => {
      const { id, tier, rateKind, slots } = upstream;
      const look = endpoint.pool.look(id);
      const isOk = look?.condition === "ok";
      return {
        ...NOT_KNOWN_OF_CALLED,
        id,
        state: this.#stateOfUpstream(upstream),
        tier,
        rateKind,
        slots,
        ...this.#jobsOn(id, tenantId),
        reason: look === null ? NO_RATE : isOk ? null : look.detail,
      };
    });
  }

  #stateOfUpstream({ id }: Upstream): WorkerView["state"] {
    const look = this.#parts.endpoint.pool.look(id);
    if (look?.condition === "ok") return look.running > 0 ? "RUNNING" : "IDLE";
    return look?.condition === "paused" ? "THROTTLED" : "UNHEALTHY";
  }

  #isReadyUpstream({ id, slots }: Upstream): boolean {
    const look = this.#parts.endpoint.pool.look(id);
    return look?.condition === "ok" && look.running < slots;
  }

  #jobsOn(holderId: string, tenantId: string): Pick<WorkerView, "running" | "jobs"> {
    const { jobs, index } = this.#parts;
    const uuids = index.runningOn(holderId);
    const named = uuids.slice(0, this.#namesLeft);
    this.#namesLeft -= named.length;
    const ids = named.flatMap((uuid) => {
      const job = jobs.load(uuid)?.job;
      return job?.tenantId === tenantId ? [showJobId(job.uuid, job.mode)] : [];
    });
    return { running: uuids.length, jobs: ids };
  }

  #stateOf(worker: RosterWorker, nowMs: number): WorkerView["state"] {
    const condition = this.#parts.endpoint.pool.look(worker.holderId)?.condition ?? "ok";
    if (worker.sick !== null || condition !== "ok") return "UNHEALTHY";
    if (this.#parts.pullSlots.runs(worker.holderId)) return "RUNNING";
    const absence = absenceOf(worker, false, nowMs);
    if (absence !== null && absence !== "quiet") return STATE_OF_ABSENCE[absence];
    return this.#isQuiet(worker, nowMs) ? "UNHEALTHY" : "IDLE";
  }

  /** True: the worker's process does nothing, even if heartbeats go on: it has ended, or hangs. */
  #isQuiet(worker: RosterWorker, nowMs: number): boolean {
    const { roster } = this.#parts;
    if (absenceOf(worker, this.#parts.pullSlots.runs(worker.holderId), nowMs) !== "quiet") return false;
    // A worker that cannot be interrupted asks for nothing while it still works on a job that was taken from it.
    return nowMs - worker.actedAtMs > WORKER_QUIET_AFTER_MS && roster.stopsOf(worker.holderId).size === 0;
  }

  #reasonOf(worker: RosterWorker, nowMs: number): string | null {
    // This comes first, because whatever else the worker does may be caused by it.
    if (this.#parts.roster.isTwin(worker, nowMs)) {
      return "Two processes use this worker id: give each its own RUNPOD_POD_ID.";
    }
    const look = this.#parts.endpoint.pool.look(worker.holderId);
    if (worker.sick !== null) return worker.sick.detail;
    if (worker.leaving?.why === "restart") {
      return "A result asked for its restart (refresh_worker); it gets no job until it asks for one again.";
    }
    if (worker.leaving?.why === "shutdown") return "It was shut down before its start was done.";
    if (worker.leaving?.why === "end") return "It was told to end; it gets no job until it asks for one again.";
    if (look !== null && look.condition !== "ok") return look.detail;
    if (worker.draining) return "It is being drained: it gets no more jobs.";
    if (this.#isQuiet(worker, nowMs)) {
      const seconds = Math.floor((nowMs - worker.actedAtMs) / 1_000);
      return `It runs nothing and has not asked for a job for ${seconds} s; only its heartbeats may go on.`;
    }
    const { refreshAskedAtMs } = worker;
    const isRecent = refreshAskedAtMs !== null && nowMs - refreshAskedAtMs < WORKER_SICK_SHOWN_MS;
    if (isRecent) return "A result asked for its restart (refresh_worker).";
    return null;
  }
}
