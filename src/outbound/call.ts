// The only fetch() of Waybill to a URL that a tenant or an operator gave: guarded at each send, no redirect followed, total
// and idle deadlines, one content coding at most. Everything that can happen comes back as a value, nothing throws.
import { checkUrl } from "./guard.ts";
import { type SentBody, sendBody } from "./send-body.ts";

export interface CallRequest {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A JSON text, without white space at its end. A stream needs `contentLength`, in bytes. */
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  readonly contentLength?: number;
  /** Lets white space be put before the last byte of the body, so that `not_sent` is told from `reset` (send-body.ts). */
  readonly provable?: boolean;
  /** From the call to the last byte of the answer. */
  readonly totalMs: number;
  /** From the call to the headers of the answer; without it only `totalMs` holds. */
  readonly headersMs?: number;
  /** Longest silence while the body is sent, and while the answer's body is read. */
  readonly idleMs: number;
  readonly signal?: AbortSignal;
}

export type CallResult =
  | {
      readonly kind: "response";
      readonly status: number;
      readonly headers: Headers;
      readonly body: ReadableStream<Uint8Array>;
      /** Why `body` ended early, once it was read; null when it came to its end. */
      broken(): "reset" | "timeout" | "aborted" | null;
      /** Bytes of the decoded body that were read so far. */
      bytesRead(): number;
      /** Drops what was not read and ends all timers; always call it. */
      close(): void;
    }
  /** The guard said no. */
  | { readonly kind: "url_refused"; readonly message: string }
  /** Refused connect, failed look-up or handshake: the receiver cannot have begun. */
  | { readonly kind: "not_sent"; readonly detail: string }
  /** The connection broke after the request had gone out. */
  | { readonly kind: "reset" }
  /** The receiver took a part of the request and then no more: it hung up, or stalled. */
  | { readonly kind: "cut"; readonly detail: string }
  | { readonly kind: "timeout"; readonly which: "total" | "headers" }
  | { readonly kind: "redirect"; readonly status: number }
  /** A status outside 200–599 or stacked content codings. */
  | { readonly kind: "protocol"; readonly detail: string }
  | { readonly kind: "aborted" };

type StopCause = "total" | "headers" | "idle" | "signal";

/** Makes one call. Deadlines in ms; a body of an answer is bounded by its reader, not here. */
export async function callUrl(request: CallRequest, options: { readonly allowPrivate: boolean }): Promise<CallResult> {
  const verdict = checkUrl(request.url, options);
  if (!verdict.ok) return { kind: "url_refused", message: verdict.message };
  const watch = new Watch(request);
  const sent = request.body === undefined ? null : prepareBody(request, (done) => watch.progress(done));
  const init: RequestInit = {
    method: request.method,
    headers: { ...request.headers, "accept-encoding": "identity" },
    redirect: "manual",
    signal: watch.signal,
    ...(sent === null ? {} : { body: sent.readable }),
  };
  try {
    const response = await fetch(verdict.url.href, init);
    watch.headersArrived();
    return judge(response, watch, sent);
  } catch (cause) {
    watch.end();
    sent?.stop();
    return classify(cause, watch.cause, sent);
  }
}

function prepareBody(request: CallRequest, onProgress: (done: boolean) => void): SentBody {
  const provable = { provable: request.provable ?? false };
  if (request.body instanceof ReadableStream) {
    if (request.contentLength === undefined) throw new Error("a streamed body needs its length");
    return sendBody(request.body, request.contentLength, onProgress, provable);
  }
  const bytes =
    typeof request.body === "string" ? new TextEncoder().encode(request.body) : (request.body ?? new Uint8Array());
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return sendBody(source, bytes.length, onProgress, provable);
}

function classify(cause: unknown, stopped: StopCause | null, sent: SentBody | null): CallResult {
  if (stopped === "signal") return { kind: "aborted" };
  if (sent?.complete() === false && sent.connected()) {
    const detail = stopped === null ? "it closed the connection" : "it stopped reading";
    return { kind: "cut", detail: `${detail} before it had the whole request` };
  }
  if (sent !== null && !sent.complete()) {
    const text = cause instanceof Error ? cause.message : "";
    if (stopped !== null) return { kind: "not_sent", detail: "it did not take the request in time" };
    // workerd gives a failed look-up no name of its own.
    const lookup = text.startsWith("internal error");
    return { kind: "not_sent", detail: lookup ? "its host name was not found" : "the connection was refused" };
  }
  if (stopped !== null) return { kind: "timeout", which: stopped === "headers" ? "headers" : "total" };
  return { kind: "reset" };
}

function judge(response: Response, watch: Watch, sent: SentBody | null): CallResult {
  const { status } = response;
  const coding = response.headers.get("content-encoding") ?? "";
  const drop = (result: CallResult): CallResult => {
    watch.stop("signal");
    sent?.stop();
    return result;
  };
  if (status >= 300 && status < 400) return drop({ kind: "redirect", status });
  if (status < 200 || status > 599) return drop({ kind: "protocol", detail: `it answered with the status ${status}` });
  if (coding.includes(",")) return drop({ kind: "protocol", detail: "it answered with more than one content coding" });
  const guarded = guardBody(response.body, watch);
  return {
    kind: "response",
    status,
    headers: response.headers,
    body: guarded.body,
    broken: guarded.broken,
    bytesRead: guarded.bytesRead,
    close: () => void drop({ kind: "aborted" }),
  };
}

function guardBody(source: ReadableStream<Uint8Array> | null, watch: Watch) {
  let broken: "reset" | "timeout" | "aborted" | null = null;
  let bytes = 0;
  const reader = source?.getReader();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        if (reader === undefined) return controller.close();
        try {
          watch.armIdle();
          const { done, value } = await reader.read();
          watch.disarmIdle();
          if (!done) {
            bytes += value.length;
            return controller.enqueue(value);
          }
          watch.end();
          controller.close();
        } catch {
          watch.end();
          broken = watch.cause === null ? "reset" : watch.cause === "signal" ? "aborted" : "timeout";
          controller.error(new Error("the answer ended early"));
        }
      },
      async cancel() {
        watch.end();
        await reader?.cancel().catch(() => undefined);
      },
    },
    { highWaterMark: 0 },
  );
  return { body, broken: () => broken, bytesRead: () => bytes };
}

/** The deadlines of one call: whichever is first aborts it and stays as `cause`. */
class Watch {
  cause: StopCause | null = null;
  readonly #abort = new AbortController();
  readonly #request: CallRequest;
  readonly #total: ReturnType<typeof setTimeout>;
  #headers: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  readonly #onSignal = (): void => this.stop("signal");

  constructor(request: CallRequest) {
    this.#request = request;
    this.#total = setTimeout(() => this.stop("total"), request.totalMs);
    if (request.headersMs !== undefined) this.#headers = setTimeout(() => this.stop("headers"), request.headersMs);
    if (request.body !== undefined) this.armIdle();
    if (request.signal?.aborted === true) this.stop("signal");
    request.signal?.addEventListener("abort", this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** A part of the body was taken; the silence after the last part is not idleness but work. */
  progress(done: boolean): void {
    if (done) this.disarmIdle();
    else if (this.#idle !== undefined) this.armIdle();
  }

  headersArrived(): void {
    clearTimeout(this.#headers ?? null);
    this.disarmIdle();
  }

  armIdle(): void {
    clearTimeout(this.#idle ?? null);
    this.#idle = setTimeout(() => this.stop("idle"), this.#request.idleMs);
  }

  disarmIdle(): void {
    clearTimeout(this.#idle ?? null);
    this.#idle = undefined;
  }

  stop(cause: StopCause): void {
    this.cause ??= cause;
    this.end();
    this.#abort.abort(new Error("the call was stopped"));
  }

  end(): void {
    clearTimeout(this.#total);
    clearTimeout(this.#headers ?? null);
    this.disarmIdle();
    this.#request.signal?.removeEventListener("abort", this.#onSignal);
  }
}
