// A usage line on its way from a broker to a tenant's account and on to D1.
import * as z from "zod";
import { RATE_KINDS } from "../core/job/pricing.ts";

/**
 * One billed attempt, load-balanced request, or slice of the time for which an upstream or worker is held active. Key: (tenant,
 * source, seq). Source is the job's bare uuid, the request, or the hold; seq the attempt, 1, or the slice.
 */
export const usageLineSchema = z.object({
  source: z.string().min(1),
  seq: z.int().min(1),
  endpointId: z.string().min(1),
  /** The job; of what is no job an id that none has (core/lb/request-id.ts, core/meter/line-id.ts). */
  jobId: z.string().min(1),
  tier: z.string(),
  rateKind: z.enum(RATE_KINDS),
  slots: z.int().min(1),
  nanodollarsPerSecond: z.int().min(0),
  seconds: z.int().min(0),
  amountNanodollars: z.int().min(0),
  startedAtMs: z.int(),
  finishedAtMs: z.int(),
  /** The billed time: whole seconds, of a load-balanced request started 100 ms. Null in older lines. */
  billedMs: z.int().min(0).nullable().default(null),
  /** Of a job of an OpenAI route. `estimated`: the worker sent no count, so they were counted by what was sent. */
  tokens: z
    .object({ prompt: z.int().min(0), completion: z.int().min(0), estimated: z.boolean() })
    .nullable()
    .default(null),
});
export type UsageLine = z.infer<typeof usageLineSchema>;

/** Lines of one tenant from one broker, in order of `finishSeq`. The account drops those that it has already. */
export interface UsageBatch {
  readonly broker: string;
  readonly lines: readonly { readonly finishSeq: number; readonly line: UsageLine }[];
}

/** A line that D1 refused three times for its content: money missing from the record until a person has looked. */
export interface ParkedUsage {
  readonly endpointId: string;
  /** The line as its broker sent it: JSON text. */
  readonly line: string;
  readonly reason: string;
  readonly parkedAtMs: number;
}

export interface AccountApi {
  /** Lines are durable when this returns; the account writes them to D1 later. Idempotent by (broker, finishSeq). */
  post(batch: UsageBatch): Promise<{ postedThrough: number }>;
  /** The tenant's parked lines, oldest first, at most PARKED_LISTED_MAX. */
  parked(): Promise<ParkedUsage[]>;
}
