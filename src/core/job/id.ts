// The public id of a job: `<uuid>-u1` after /run, `sync-<uuid>-u1` after /runsync. The suffix names the one shard. The
// last 32 bits of the uuid, random elsewhere, are the number of the job's endpoint, so that the id names its broker.
import type { JobMode } from "./job.ts";

const JOB_ID = /^(sync-)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-u1$/;
/** Hex digits of 32 bits. */
const NUMBER_DIGITS = 8;

/** The id of a new job. `uuid`: a new one of version 7, of whose random bits 42 remain for each millisecond. */
export function makeJobId(uuid: string, mode: JobMode, endpointNumber: number): string {
  const numbered = uuid.slice(0, -NUMBER_DIGITS) + endpointNumber.toString(16).padStart(NUMBER_DIGITS, "0");
  return showJobId(numbered, mode);
}

/** The public id of a stored job. */
export function showJobId(uuid: string, mode: JobMode): string {
  return mode === "runsync" ? `sync-${uuid}-u1` : `${uuid}-u1`;
}

/** Null for anything that is not an id of this release: the caller answers as for an unknown job. */
export function parseJobId(text: string): { readonly uuid: string; readonly mode: JobMode } | null {
  const [, sync, uuid] = JOB_ID.exec(text) ?? [];
  return uuid === undefined ? null : { uuid: aloneText(uuid), mode: sync === undefined ? "run" : "runsync" };
}

/** The number of a job's endpoint. A uuid of release 0.1 has random bits there: the number of none or a wrong one. */
export function endpointNumberOf(uuid: string): number {
  return Number.parseInt(uuid.slice(-NUMBER_DIGITS), 16);
}

/** The digits of a uuid that hold its time, and the latest time that they can hold, epoch ms. */
const TIME_DIGITS = 12;
const TIME_MAX_MS = 2 ** 48 - 1;

/** The beginning of all uuids of version 7 of this time: as a text it is below each of them, and above all older ones. */
export function firstUuidAt(atMs: number): string {
  const digits = Math.min(Math.max(Math.ceil(atMs), 0), TIME_MAX_MS)
    .toString(16)
    .padStart(TIME_DIGITS, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}

/** The time in a uuid of version 7, epoch ms. */
export function timeOfUuid(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}

/** The id of one finish's webhook: the same on every try, another after each retry, and without a dot. */
export function webhookIdOf({ uuid, round }: { readonly uuid: string; readonly round: number }): string {
  return `msg_${uuid}_r${round}`;
}

/** A copy of the text in its own memory: one cut out of a longer text keeps all of that as long as the job lives. */
function aloneText(uuid: string): string {
  return uuid.split("-").join("-");
}
