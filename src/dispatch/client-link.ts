// The client whose own request carries its job: it receives the beginning of the answer while the attempt still runs.

/** The head of the client's answer: the upstream's status, and those of its headers that matter. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ClientLink {
  /** Fires when the client has gone, which ends the job. */
  readonly gone: AbortSignal;
  /** True once a part of the answer has gone out: no other attempt can then take over. */
  readonly hasBegun: boolean;
  /** The head for an answer that begins only when it is whole; null for any other. */
  head: AnswerHead | null;
  /** Begins the answer. To be called once, before its first bytes. */
  begin(head: AnswerHead): void;
  /** Breaks the connection, because the answer is incomplete and nothing in the bytes that went out shows it. */
  breakOff(): void;
  /** Resolves when the client has room for more. Never throws: a client that has gone fires `gone`. */
  write(bytes: Uint8Array): Promise<void>;
}
