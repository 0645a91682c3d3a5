// How a job came in, if its client uses another API than RunPod's. The core has no list of such APIs: what it must do
// differently for them is decided at submit and stored in the flags below.

/** Where a job has null instead of an origin, it came by RunPod's API. */
export interface Origin {
  /** The client's API, such as `openai`. */
  readonly dialect: string;
  /** What the client asks of the worker beside the input, in the form of that API: plain JSON. */
  readonly call: unknown;
  /** Only the waiting client gets the answer: once it has gone, nobody waits for a result or another run. */
  readonly endsWithClient: boolean;
  /** The answer contains its cost in tokens, which goes into the usage line. */
  readonly countsTokens: boolean;
}
