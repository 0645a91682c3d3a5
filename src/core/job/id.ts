// The public id of a job: `<uuid>-u1` after /run, `sync-<uuid>-u1` after /runsync. The suffix is the shard; there is one.
import type { JobMode } from "./job.ts";

const JOB_ID = /^(sync-)?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-u1$/;

export function makeJobId(uuid: string, mode: JobMode): string {
  return mode === "runsync" ? `sync-${uuid}-u1` : `${uuid}-u1`;
}

/** Null for anything that is not an id of this release: the caller answers as for an unknown job. */
export function parseJobId(text: string): { readonly uuid: string; readonly mode: JobMode } | null {
  const match = JOB_ID.exec(text);
  const uuid = match?.[2];
  if (match === null || uuid === undefined) return null;
  return { uuid: aloneText(uuid), mode: match[1] === undefined ? "run" : "runsync" };
}

/** The same text in memory of its own: one that was cut out of a longer text keeps all of that, for as long as its job lives. */
function aloneText(uuid: string): string {
  return uuid.split("-").join("-");
}
