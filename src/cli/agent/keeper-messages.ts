// What the agent and its keeper, the process that starts and ends all programs, tell each other.
import * as z from "zod";

/** A program to run, as a whole: nothing of the keeper's own environment is added. */
const programSchema = z.object({
  /** Absolute. */
  file: z.string(),
  args: z.array(z.string()),
  cwd: z.string(),
  env: z.record(z.string(), z.string()),
  /** The file that its output goes to. */
  log: z.string(),
});
export type Program = z.infer<typeof programSchema>;

/** `run` is the number of one run of a program, by which all that follows names it. */
export const orderSchema = z.discriminatedUnion("order", [
  z.object({ order: z.literal("start"), run: z.int(), program: programSchema }),
  /** SIGTERM, and after the grace SIGKILL to all that is left. An earlier grace goes before a later one. */
  z.object({ order: z.literal("end"), run: z.int(), graceMs: z.number() }),
]);
export type Order = z.infer<typeof orderSchema>;

/** How a run has come to its end. */
const runEndSchema = z.discriminatedUnion("how", [
  z.object({ how: z.literal("exit"), code: z.int(), words: z.string() }),
  z.object({ how: z.literal("signal"), signal: z.string(), words: z.string() }),
  z.object({ how: z.literal("not_started"), words: z.string() }),
]);
export type RunEnd = z.infer<typeof runEndSchema>;

export const newsSchema = z.discriminatedUnion("news", [
  /** The keeper takes orders. */
  z.object({ news: z.literal("ready") }),
  /** The program runs. `pid` leads a session and a group of their own. */
  z.object({ news: z.literal("started"), run: z.int(), pid: z.int() }),
  /** Nothing of it is left. */
  z.object({ news: z.literal("ended"), run: z.int(), end: runEndSchema }),
]);
export type News = z.infer<typeof newsSchema>;

/** How long a program has from SIGTERM to SIGKILL. */
export const GRACE_MS = 3_000;
