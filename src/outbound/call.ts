// The only fetch() of Waybill to a URL that a tenant or an operator gave: guarded at each send, no redirect followed,
// total and idle deadlines, one content coding at most. Every outcome is returned as a value; nothing is thrown.

import type { Reach } from "../core/access/reach.ts";
import type { SecretForms } from "../core/access/secret-forms.ts";
import { AnswerBody } from "./answer-body.ts";
import { connectFailure, unanswered } from "./connect-failure.ts";
import { checkUrl } from "./guard.ts";
import { refusalOf } from "./request-refusal.ts";
import { type SentBody, sendBody, sendBytes } from "./send-body.ts";
import { type Deadlines, Watch } from "./watch.ts";

export interface CallRequest extends Deadlines {
  readonly url: string;
  /** The part of `url` that the operator set, checked in place of the whole where a tenant chooses path and query. */
  readonly baseUrl?: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A JSON text, without white space at its end. A stream needs `contentLength`, in bytes. */
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array>;
  readonly contentLength?: number;
  /** Allows white space before the last byte of the body, by which `not_sent` and `reset` differ (send-body.ts). */
  readonly provable?: boolean;
  /** Secrets that the call carries, for nobody else to see: blanked in the headers and the body of the answer. */
  readonly secrets?: SecretForms;
}

export type CallResult =
  | {
      readonly kind: "response";
      readonly status: number;
      readonly headers: Headers;
      readonly body: AnswerBody;
      /** Drops the unread rest and ends all timers. Must always be called. */
      close(): void;
    }
  /** The guard refused the URL. */
  | { readonly kind: "url_refused"; readonly message: string }
  /** fetch refused the method, a header, the address, or a body where none may be. No call was made. */
  | { readonly kind: "not_made"; readonly detail: string }
  /** The connect was refused, or the look-up or the handshake failed: the receiver cannot have begun. */
  | { readonly kind: "not_sent"; readonly detail: string }
  /** The connection broke after the request had gone out. `detail` is what the receiver did. */
  | { readonly kind: "reset"; readonly detail: string }
  /** The receiver took a part of the request and then no more: it hung up, or stalled. */
  | { readonly kind: "cut"; readonly detail: string }
  | { readonly kind: "timeout"; readonly which: "total" | "headers" }
  | { readonly kind: "redirect"; readonly status: number }
  /** The status is outside of 200–599, or the content codings are stacked. */
  | { readonly kind: "protocol"; readonly detail: string }
  | { readonly kind: "aborted" };

/** Makes one call. Deadlines in ms. The size of the answer's body is bounded by its reader, not here. */
export async function callUrl(request: CallRequest, reach: Reach): Promise<CallResult> {
  const verdict = checkUrl(request.baseUrl ?? request.url, reach);
  if (!verdict.ok) return { kind: "url_refused", message: verdict.message };
  const url = URL.parse(request.url);
  if (url === null || url.origin !== verdict.url.origin)
    return { kind: "not_made", detail: "its address is not valid" };
  const watch = new Watch(request, { sends: request.body !== undefined });
  const sent = request.body === undefined ? null : prepareBody(request, (done) => watch.progress(done));
  const init: RequestInit = {
    method: request.method,
    headers: { ...request.headers, "accept-encoding": "identity" },
    redirect: "manual",
    signal: watch.signal,
    // Cloudflare's cache keeps what looks like a static file by its URL alone, and an OpenAI client chooses the path.
    cache: "no-store",
    ...(sent === null ? {} : { body: sent.readable }),
  };
  try {
    const response = await fetch(url.href, init);
    watch.headersArrived();
    return judge(response, watch, sent, request.secrets ?? null);
  } catch (cause) {
    watch.end();
    sent?.stop();
    const refusal = watch.cause === null ? refusalOf({ ...request, hasBody: sent !== null }, cause) : null;
    if (refusal !== null) return { kind: "not_made", detail: refusal };
    return classify(cause, url, watch.cause, sent);
  }
}

function prepareBody(request: CallRequest, onProgress: (done: boolean) => void): SentBody {
  const { body = "", contentLength, provable = false } = request;
  if (!(body instanceof ReadableStream)) {
    return sendBytes(typeof body === "string" ? new TextEncoder().encode(body) : body, onProgress, provable);
  }
  if (contentLength === undefined) throw new Error("a streamed body needs its length");
  return sendBody(body, contentLength, onProgress, provable);
}

function classify(cause: unknown, url: URL, stopped: Watch["cause"], sent: SentBody | null): CallResult {
  if (stopped === "signal") return { kind: "aborted" };
  if (sent?.complete() === false && sent.connected()) {
    const detail = stopped === null ? "it closed the connection" : "it stopped reading";
    return { kind: "cut", detail: `${detail} before it had the whole request` };
  }
  if (sent !== null && !sent.complete()) {
    if (stopped !== null) return { kind: "not_sent", detail: "it did not take the request in time" };
    return { kind: "not_sent", detail: connectFailure(url, cause) };
  }
  if (stopped !== null) return { kind: "timeout", which: stopped === "headers" ? "headers" : "total" };
  return { kind: "reset", detail: unanswered(url) };
}

function judge(response: Response, watch: Watch, sent: SentBody | null, secrets: SecretForms | null): CallResult {
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
  const body = new AnswerBody(response, watch, secrets);
  return {
    kind: "response",
    status,
    headers: secrets === null || secrets.isEmpty ? response.headers : blankHeaders(response.headers, secrets),
    body,
    // A call that is over needs no abort, which costs more than reading a usual answer.
    close: () => (body.isWhole && sent?.complete() !== false ? watch.end() : void drop({ kind: "aborted" })),
  };
}

/** A copy of the headers with the secrets blanked in every value; each `set-cookie` stays a header of its own. */
export function blankHeaders(headers: Headers, secrets: SecretForms): Headers {
  const blanked = new Headers();
  for (const [name, value] of headers) blanked.append(name, secrets.blankText(value));
  return blanked;
}
