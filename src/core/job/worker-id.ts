// How a pulling worker is named among the slots of an endpoint. Its own id alone would not do: machines of
// two worker keys may have the same id, and a report must come with the key that took the job.

const PREFIX = "worker:";
/** A pod id is short; a longer one is a mistake, and would be stored in the row of each of its jobs. */
const WORKER_ID = /^[\x21-\x7e]{1,128}$/;

/** May a worker have this id? Visible ASCII without spaces, at most 128 characters. */
export function isWorkerId(text: string): boolean {
  return WORKER_ID.test(text);
}

/** The name of a worker's slots in the pool and in leases; an upstream's id never has this form. */
export function holderOfWorker(keyId: string, workerId: string): string {
  return `${PREFIX}${keyId}/${workerId}`;
}

/** The `workerId` that a client sees: the id that the worker gave itself, or the upstream's id. */
export function shownWorkerId(holderId: string): string {
  if (!isWorkerHolder(holderId)) return holderId;
  return holderId.slice(holderId.indexOf("/") + 1);
}

/** Does this name the slots of a pulling worker? */
export function isWorkerHolder(id: string): boolean {
  return id.startsWith(PREFIX);
}
