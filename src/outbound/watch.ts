// The deadlines of one call: whichever is first aborts it and stays as its cause.

export interface Deadlines {
  /** From the call to the last byte of the answer. */
  readonly totalMs: number;
  /** From the call to the headers of the answer; without it only `totalMs` holds. */
  readonly headersMs?: number;
  /** Longest silence while the body is sent, and while the answer's body is read. */
  readonly idleMs: number;
  readonly signal?: AbortSignal;
}

type StopCause = "total" | "headers" | "idle" | "signal";

export class Watch {
  cause: StopCause | null = null;
  readonly #abort = new AbortController();
  readonly #deadlines: Deadlines;
  readonly #total: ReturnType<typeof setTimeout>;
  #headers: ReturnType<typeof setTimeout> | undefined;
  /** One timer for all silences: it looks again when the time of the newest one has not come. Chunks come by the thousand. */
  #idle: ReturnType<typeof setTimeout> | undefined;
  #idleAtMs = Number.POSITIVE_INFINITY;
  readonly #onSignal = (): void => this.stop("signal");

  constructor(deadlines: Deadlines) {
    this.#deadlines = deadlines;
    this.#total = setTimeout(() => this.stop("total"), deadlines.totalMs);
    if (deadlines.headersMs !== undefined) this.#headers = setTimeout(() => this.stop("headers"), deadlines.headersMs);
    if (deadlines.signal?.aborted === true) this.stop("signal");
    deadlines.signal?.addEventListener("abort", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A part of the body was taken; the silence after the last part is not idleness but work. */
  progress(done: boolean): void {
    if (done) this.disarmIdle();
    else if (Number.isFinite(this.#idleAtMs)) this.armIdle();
  }

  headersArrived(): void {
    clearTimeout(this.#headers ?? null);
    this.disarmIdle();
  }

  armIdle(): void {
    this.#idleAtMs = Date.now() + this.#deadlines.idleMs;
    this.#idle ??= setTimeout(() => this.#lookIdle(), this.#deadlines.idleMs);
  }

  disarmIdle(): void {
    this.#idleAtMs = Number.POSITIVE_INFINITY;
  }

  stop(cause: StopCause): void {
    this.cause ??= cause;
    this.end();
    this.#abort.abort(new Error("the call was stopped"));
  }

  end(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#headers ?? null);
    clearTimeout(this.#idle ?? null);
    this.#idle = undefined;
    this.disarmIdle();
    this.#deadlines.signal?.removeEventListener("abort", this.#onSignal);
  }

  #lookIdle(): void {
    this.#idle = undefined;
    if (!Number.isFinite(this.#idleAtMs)) return;
    const leftMs = this.#idleAtMs - Date.now();
    if (leftMs <= 0) this.stop("idle");
    else this.#idle = setTimeout(() => this.#lookIdle(), leftMs);
  }
}
