// The client whose own request carries its job: its answer begins while the attempt still runs.

/** The head of its answer: the upstream's status, and those of its headers that matter. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ClientLink {
  /** Fires when the client has gone: the job then ends with it. */
  readonly gone: AbortSignal;
  /** A part of the answer has gone out, so no other attempt can take over. */
  readonly hasBegun: boolean;
  /** Set for an answer that is not begun before it is whole: the head that it is to have. */
  head: AnswerHead | null;
  /** Begins the answer. Once, before its first bytes. */
  begin(head: AnswerHead): void;
  /** What has gone out is not all of it, and nothing in it says so: its connection is to break. */
  breakOff(): void;
  /** Resolves when the client has room for more. Never throws: a client that has gone fires `gone`. */
  write(bytes: Uint8Array): Promise<void>;
}
