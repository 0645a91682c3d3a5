// What the reconciler is told of the moment: the endpoint's settings, what is wanted, and what workers have shown.
import type { Candidate } from "./instance.ts";
import type { Patience } from "./scaler.ts";
import type { StayFacts } from "./staying.ts";
import type { Moment } from "./take-answer.ts";

/** What the broker has seen of the worker of an instance. */
export interface WorkerFacts {
  /** It has asked for a job since the instance was last started. */
  readonly hasAsked: boolean;
  /** It has run a handler since then, or may have before the broker's start. */
  readonly hasRun: boolean;
  /** It has reported that it cannot start, as its last word before it ends. */
  readonly hasFailed: boolean;
  /** Jobs or requests that it holds. */
  readonly running: number;
  /** Since when it has held none, epoch ms. */
  readonly idleSinceMs: number;
  /** When it counts as gone if it does not call until then, epoch ms; Infinity: one of its calls is open. */
  readonly goneAtMs: number;
  /** It has lost a job by its silence. */
  readonly isSilent: boolean;
  /** Why it does not work, in its own words; null: it has said nothing. */
  readonly trouble: string | null;
}

export interface FleetFacts extends Moment, StayFacts {
  /** A paused or deleted endpoint starts no job: it has no machine made or started, and keeps those that still run one. */
  readonly isOpen: boolean;
  readonly wanted: number;
  readonly patience: Patience;
  /** So many of the workers are active ones, which are paid for as long as they are held. */
  readonly active: number;
  readonly release: number;
  readonly candidates: readonly Candidate[];
  /** The most that all machines may cost together, nano-dollars an hour; null: no bound. */
  readonly ceilingNanodollarsPerHour: number | null;
  readonly initTimeoutMs: number;
  /** How long a machine that is created now may live. */
  readonly lifetimeMs: number;
  /** How long a stopped machine is kept; 0: workers are ended, not stopped. */
  readonly stoppedKeptMs: number;
  /** By the id of the instance; absent: its worker has not called since the broker's start. */
  readonly workers: ReadonlyMap<string, WorkerFacts>;
  /** Are the workers called, each where its provider shows it? Absent: they call by themselves. */
  readonly areCalled?: boolean;
  /** From when on every worker that lives has called since the broker's start, epoch ms. */
  readonly allSeenAtMs: number;
  /** Providers that are asked what they have though no record names them: there may be a machine that no record owns. */
  readonly swept: readonly string[];
  /** Ids for new records, as many as are wanted at most. */
  readonly newId: () => string;
}
