// The deadlines of one call: the first that passes aborts the call and stays as the cause.

export interface Deadlines {
  /** From the call to the last byte of the answer. */
  readonly totalMs: number;
  /** From the call to the headers of the answer; if it is left out, only `totalMs` holds. */
  readonly headersMs?: number;
  /** Longest silence while the body is sent, and while the answer's body is read. */
  readonly idleMs: number;
  readonly signal?: AbortSignal;
}

type StopCause = "total" | "headers" | "idle" | "signal";

const NEVER = Number.POSITIVE_INFINITY;
/** Earlier than any deadline, so that a piece that comes after the end arms no timer. */
const ENDED = Number.NEGATIVE_INFINITY;

export class Watch {
  cause: StopCause | null = null;
  readonly #abort = new AbortController();
  readonly #deadlines: Deadlines;
  readonly #totalAtMs: number;
  #headersAtMs: number;
  #idleAtMs = NEVER;
  /** One timer for all deadlines, which looks again if one has moved: each of thousands of chunks moves a deadline. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  #timerAtMs = NEVER;
  readonly #onSignal = (): void => this.stop("signal");

  /** `sends`: the call has a body to send, so that silence counts from now on. */
  constructor(deadlines: Deadlines, { sends }: { readonly sends: boolean }) {
    const nowMs = Date.now();
    this.#deadlines = deadlines;
    this.#totalAtMs = nowMs + deadlines.totalMs;
    this.#headersAtMs = nowMs + (deadlines.headersMs ?? NEVER);
    if (sends) this.#idleAtMs = nowMs + deadlines.idleMs;
    this.#arm(nowMs);
    if (deadlines.signal?.aborted === true) this.stop("signal");
    else deadlines.signal?.addEventListener("abort", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A part of the body was taken. After the last part, silence means that the receiver works, not that it idles. */
  progress(done: boolean): void {
    if (done) this.disarmIdle();
    else if (this.#idleAtMs !== NEVER) this.armIdle();
  }

  headersArrived(): void {
    this.#headersAtMs = NEVER;
    this.disarmIdle();
  }

  armIdle(): void {
    const nowMs = Date.now();
    this.#idleAtMs = nowMs + this.#deadlines.idleMs;
    if (this.#idleAtMs < this.#timerAtMs) this.#arm(nowMs);
  }

  disarmIdle(): void {
    this.#idleAtMs = NEVER;
  }

  stop(cause: StopCause): void {
    this.cause ??= cause;
    this.end();
    this.#abort.abort(new Error("the call was stopped"));
  }

  end(): void {
    if (this.#timerAtMs === ENDED) return;
    clearTimeout(this.#timer ?? null);
    this.#timerAtMs = ENDED;
    this.#deadlines.signal?.removeEventListener("abort", this.#onSignal);
  }

  #arm(nowMs: number): void {
    clearTimeout(this.#timer ?? null);
    this.#timerAtMs = Math.min(this.#totalAtMs, this.#headersAtMs, this.#idleAtMs);
    this.#timer = setTimeout(() => this.#look(), Math.max(0, this.#timerAtMs - nowMs));
  }

  #look(): void {
    const nowMs = Date.now();
    if (nowMs >= this.#totalAtMs) this.stop("total");
    else if (nowMs >= this.#headersAtMs) this.stop("headers");
    else if (nowMs >= this.#idleAtMs) this.stop("idle");
    else this.#arm(nowMs);
  }
}
