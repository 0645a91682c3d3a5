// The parts of a client's API that all routes of the edge use: RunPod's in jobs/dialect.ts, OpenAI's in
// openai/dialect.ts. Another vendor's API is added as one more, with routes of its own; the core does not change.
import type { SubmitCall } from "../../contract/broker.ts";
import type { Failure, Result } from "../../core/failure.ts";
import type { JobMode } from "../../core/job/job.ts";
import type { ReadKey } from "./auth.ts";
import type { RouteContext } from "./context.ts";
import type { EndpointCall } from "./enter.ts";

/** A job made from a request. A large input is in R2 already: a caller that does not use it must delete it. */
export interface WantedJob extends Pick<SubmitCall, "input" | "fields" | "policy" | "idempotency" | "origin"> {
  /** The address to call at the end of the job; it has been checked. */
  readonly webhookUrl: string | null;
  /** Why the input makes no new job; absent: it may. An Idempotency-Key may have one, from before the endpoint's present schema. */
  readonly refusal?: Failure | undefined;
}

export interface ClientDialect {
  /** RunPod's clients put the key into `Authorization`; an API may have another place for it. */
  readonly readKey: ReadKey;
  /** Reads and checks a request. `key`: the R2 key of a large input. After a refusal nothing is left in R2. */
  readonly readJob: (
    c: RouteContext,
    call: EndpointCall,
    at: { readonly mode: JobMode; readonly key: string },
  ) => Promise<Result<WantedJob>>;
  /** The answer to an expected failure, in the form that clients of this API read. */
  readonly refuse: (c: RouteContext, failure: Failure) => Response;
}
