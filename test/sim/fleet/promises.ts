// What a fleet promises, by the names that a run prints; README.md tells what each means.

export const PROMISES = [
  "leaked_instances",
  "double_creates",
  "jobs_lost",
  "over_ceiling",
  "outlived",
  "mistaken",
  "unbilled",
  "closed",
  "pressed",
  "dearer",
  "hasty",
  "restless",
  "held_up",
  "unfinished",
] as const;
export type PromiseName = (typeof PROMISES)[number];
