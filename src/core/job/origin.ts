// How a job came in, where its client speaks another API than RunPod's. The core has no list of such APIs: what it must do
// differently for one is decided at submit and stands in flags.

/** Null in its place: a job of RunPod's API. */
export interface Origin {
  /** The client's API, such as `openai`. */
  readonly dialect: string;
  /** What is asked of the worker beside the input, in the words of that API: plain JSON. */
  readonly call: unknown;
  /** The answer goes to the waiting client alone: when that has gone, nobody waits for a result or for another run. */
  readonly endsWithClient: boolean;
  /** The answer tells what it cost in tokens, and they go to the usage line. */
  readonly countsTokens: boolean;
}
