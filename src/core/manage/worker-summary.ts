// RunPod's summary of a list of workers: how many there are in each state.

export const WORKER_STATES = ["RUNNING", "IDLE", "INITIALIZING", "THROTTLED", "UNHEALTHY"] as const;
type WorkerState = (typeof WORKER_STATES)[number];

export interface WorkerSummary {
  readonly running: number;
  readonly idle: number;
  readonly initializing: number;
  readonly throttled: number;
  readonly unhealthy: number;
  readonly total: number;
}

export function summariseWorkers(workers: readonly { readonly state: WorkerState }[]): WorkerSummary {
  const count = (state: WorkerState): number => workers.filter((worker) => worker.state === state).length;
  return {
    running: count("RUNNING"),
    idle: count("IDLE"),
    initializing: count("INITIALIZING"),
    throttled: count("THROTTLED"),
    unhealthy: count("UNHEALTHY"),
    total: workers.length,
  };
}
