// A usage line on its way from a broker to a tenant's account and on to D1.
import { z } from "zod";

/** One billed attempt. Key: (tenant, source, seq); source is the job's bare uuid, seq the attempt. */
export const usageLineSchema = z.object({
  source: z.string().min(1),
  seq: z.int().min(1),
  endpointId: z.string().min(1),
  jobId: z.string().min(1),
  tier: z.string(),
  rateKind: z.enum(["flex", "active"]),
  slots: z.int().min(1),
  nanodollarsPerSecond: z.int().min(0),
  seconds: z.int().min(0),
  amountNanodollars: z.int().min(0),
  startedAtMs: z.int(),
  finishedAtMs: z.int(),
  /** What the amount was made of: whole seconds of a job, started 100 ms of a load-balanced request. Null in older lines. */
  billedMs: z.int().min(0).nullable().default(null),
  /** Of a job that came through an OpenAI route. `estimated`: the worker did not tell, they were counted by what was sent. */
  tokens: z
    .object({ prompt: z.int().min(0), completion: z.int().min(0), estimated: z.boolean() })
    .nullable()
    .default(null),
});
export type UsageLine = z.infer<typeof usageLineSchema>;

/** Lines of one tenant from one broker, in order of `finishSeq`. The account drops those at or below what it has seen. */
export interface UsageBatch {
  readonly broker: string;
  readonly lines: readonly { readonly finishSeq: number; readonly line: UsageLine }[];
}

/** A line that D1 refused three times for what it says: money that is not in the record until a person has looked. */
export interface ParkedUsage {
  readonly endpointId: string;
  /** The line as its broker said it: JSON text. */
  readonly line: string;
  readonly reason: string;
  readonly parkedAtMs: number;
}

export interface AccountApi {
  /** Durable when it answers; D1 follows by the account's own alarm. Idempotent by (broker, finishSeq). */
  post(batch: UsageBatch): Promise<{ postedThrough: number }>;
  /** Oldest first, at most PARKED_LISTED_MAX. */
  parked(): Promise<ParkedUsage[]>;
}
