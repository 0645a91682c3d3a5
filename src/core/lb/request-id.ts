// The id under which a load-balanced request stands in the bill, where a job's line has the job's id.

const PREFIX = "lb-";

export function billedRequestId(requestId: string): string {
  return PREFIX + requestId;
}

/** Does this line's id name a load-balanced request? */
export function isBilledRequest(id: string): boolean {
  return id.startsWith(PREFIX);
}
