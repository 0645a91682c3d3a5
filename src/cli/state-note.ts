// broker.json in a folder of state: which process has the folder, on which port its broker answers, and what it has started.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";

const stateNoteSchema = z.object({
  /** The process that took the lock. */
  pid: z.int(),
  port: z.int(),
  /** The group that it started: its leader, and that process's start by `startOf`; null: it has started none yet. */
  group: z.object({ leader: z.int(), since: z.string().nullable() }).nullable(),
});
export type StateNote = z.infer<typeof stateNoteSchema>;

export function stateNotePath(folder: string): string {
  return join(folder, "broker.json");
}

/** Null: there is no note, or it was cut off while it was written. */
export function readStateNote(folder: string): StateNote | null {
  try {
    return stateNoteSchema.parse(JSON.parse(readFileSync(stateNotePath(folder), "utf8")));
  } catch {
    return null;
  }
}

/** The port of the broker that has the folder, or had it last and did not end properly; null: there is none. */
export function portOfState(folder: string): number | null {
  return readStateNote(folder)?.port ?? null;
}
