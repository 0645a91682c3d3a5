// What a worker's author writes: a handler, and how its worker is to behave.
import type { FitnessCheck } from "./fitness.ts";
import type { StandardSchema } from "./input-check.ts";
import type { InputRules } from "./input-rules.ts";
import type { Log } from "./log.ts";

/** A job as its handler sees it. */
export interface Job<Input = unknown> {
  /** Whatever else came with the job, such as `webhook` or `metadata`, stands beside these. */
  readonly [name: string]: unknown;
  readonly id: string;
  /** Checked and changed by the schema of the worker, if it has one. */
  readonly input: Input;
  /** Fires when the job is cancelled or has run for too long. A result that comes after it is dropped. */
  readonly signal: AbortSignal;
  /** Writes lines that name the job. */
  readonly log: Log;
  /** Shows the client how far the job is, as `output` of its status. Never fails, and the latest one counts. */
  readonly progress: (progress: unknown) => void;
}

/**
 * Does a job. What it returns is the output; a member `error` in it, or whatever is thrown, makes the job FAILED. A generator, async or
 * not, streams what it yields.
 */
export type Handler<Input = unknown> = (job: Job<Input>) => unknown;

export interface WorkerConfig<Input = unknown> {
  readonly handler: Handler<Input>;
  /** Jobs at once (1), or a function that is asked before each poll, with what it gave before. */
  readonly concurrency?: number | ((current: number) => number | Promise<number>);
  /** A zod schema, any other Standard Schema, or RunPod's table of rules. A job whose input does not fit is FAILED, with the path. */
  readonly input?: StandardSchema<Input> | InputRules;
  /** Sends the list of all chunks at the end of a generator. Waybill makes it of the chunks without this; RunPod does not. */
  readonly returnAggregateStream?: boolean;
  /** Ends the process after each job, so that the next one runs in a new one. Its starter must start it again. */
  readonly refreshWorker?: boolean;
  /** Runs before the first job is asked for, such as to load a model. If it fails the worker reports it and ends with code 1. */
  readonly prestart?: () => unknown;
  /** Run before that. A worker that fails one reports it and ends with code 1. */
  readonly fitnessChecks?: Readonly<Record<string, FitnessCheck>>;
}
