// How a pulling worker is named among the slots of an endpoint. Its own id alone would not do: two worker keys may have
// machines of the same name, and a report must come under the key that took the job.

const PREFIX = "worker:";
/** A pod id is a short word; more is a mistake, and it stands in every row of its jobs. */
const WORKER_ID = /^[\x21-\x7e]{1,128}$/;

/** Is this text one that a worker may call itself? Visible ASCII without spaces, at most 128 characters. */
export function isWorkerId(text: string): boolean {
  return WORKER_ID.test(text);
}

/** The name of its slots in the pool and in leases; an upstream's id never has this form. */
export function holderOfWorker(keyId: string, workerId: string): string {
  return `${PREFIX}${keyId}/${workerId}`;
}

/** What a client sees as `workerId`: the name that the worker gave itself, or the upstream's id. */
export function shownWorkerId(holderId: string): string {
  if (!isWorkerHolder(holderId)) return holderId;
  return holderId.slice(holderId.indexOf("/") + 1);
}

/** Does this name the slots of a pulling worker? */
export function isWorkerHolder(id: string): boolean {
  return id.startsWith(PREFIX);
}
