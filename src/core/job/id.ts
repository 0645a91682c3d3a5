// The public id of a job: `<uuid>-u1` after /run, `sync-<uuid>-u1` after /runsync. The suffix is the shard; there is one. The last
// 32 bits of the uuid, which are random ones, are the number of the job's endpoint, so that its id alone names its broker.
import type { JobMode } from "./job.ts";

const JOB_ID = /^(sync-)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-u1$/;
/** Of 32 bits in a uuid's text. */
const NUMBER_DIGITS = 8;

/** The id of a new job. `uuid`: version 7, fresh. 42 random bits a millisecond are left of it. */
export function makeJobId(uuid: string, mode: JobMode, endpointNumber: number): string {
  const numbered = uuid.slice(0, -NUMBER_DIGITS) + endpointNumber.toString(16).padStart(NUMBER_DIGITS, "0");
  return showJobId(numbered, mode);
}

/** The id of a job that is there. */
export function showJobId(uuid: string, mode: JobMode): string {
  return mode === "runsync" ? `sync-${uuid}-u1` : `${uuid}-u1`;
}

/** Null for anything that is not an id of this release: the caller answers as for an unknown job. */
export function parseJobId(text: string): { readonly uuid: string; readonly mode: JobMode } | null {
  const [, sync, uuid] = JOB_ID.exec(text) ?? [];
  return uuid === undefined ? null : { uuid: aloneText(uuid), mode: sync === undefined ? "run" : "runsync" };
}

/** The number of the endpoint that a job belongs to; in a uuid of release 0.1 it is that of none, or of a wrong one. */
export function endpointNumberOf(uuid: string): number {
  return Number.parseInt(uuid.slice(-NUMBER_DIGITS), 16);
}

/** The same text in memory of its own: one that was cut out of a longer text keeps all of that, for as long as its job lives. */
function aloneText(uuid: string): string {
  return uuid.split("-").join("-");
}
