// What a client's API is to the parts of the edge that all of them share. RunPod's stands in jobs/dialect.ts, OpenAI's in
// openai/dialect.ts. The API of another vendor is one more of these with a family of routes beside it; the core does not change.
import type { SubmitCall } from "../../contract/broker.ts";
import type { Failure, Result } from "../../core/failure.ts";
import type { JobMode } from "../../core/job/job.ts";
import type { ReadKey } from "./auth.ts";
import type { RouteContext } from "./context.ts";
import type { EndpointCall } from "./enter.ts";

/** A request as it becomes a job. A large input stands in R2 already: whoever does not use it deletes it. */
export interface WantedJob extends Pick<SubmitCall, "input" | "fields" | "policy" | "idempotency" | "origin"> {
  /** Where the end of the job is told; checked. */
  readonly webhookUrl: string | null;
}

export interface ClientDialect {
  /** RunPod's clients put the key into `Authorization`; an API may have another place for it. */
  readonly readKey: ReadKey;
  /** Reads and checks a request. `key`: where a large input goes. After a refusal nothing is left in R2. */
  readonly readJob: (
    c: RouteContext,
    call: EndpointCall,
    at: { readonly mode: JobMode; readonly key: string },
  ) => Promise<Result<WantedJob>>;
  /** The answer to an expected failure, as clients of this API read it. */
  readonly refuse: (c: RouteContext, failure: Failure) => Response;
}
