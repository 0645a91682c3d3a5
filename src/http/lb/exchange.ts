// One load-balanced request from its arrival to the last byte: a slot, the call to its worker, perhaps a second worker,
// the answer, and the report of its end to the broker. Any early end ends both directions and frees the slot.
import { readConfig } from "../../config.ts";
import type { LbOutcome } from "../../contract/load-balancer.ts";
import { SecretBlanker, SecretForms } from "../../core/access/secret-forms.ts";
import type { Failure, GatewayCode } from "../../core/failure.ts";
import {
  LB_CALL_MAX_MS,
  LB_HOLD_MS,
  LB_NEXT_WAIT_MAX_MS,
  LB_SOCKET_REST_MS,
  LB_TRIES_MAX,
  LB_WAIT_MAX_MS,
  REST_MAX_MS,
} from "../../core/limits.ts";
import { within } from "../../db/deadline.ts";
import { upstreamSecrets } from "../../dispatch/attempt.ts";
import { openCredential } from "../../dispatch/carry.ts";
import { blankHeaders } from "../../outbound/call.ts";
import { openTunnel, type TunnelResult } from "../../outbound/tunnel.ts";
import { asksForSocket, toClientHeaders, toWorkerHeaders } from "../../outbound/tunnel-headers.ts";
import { bodyStreamOf } from "../kit/request-body.ts";
import { refuse } from "../kit/route.ts";
import { type LbCall, type Seat, takeSeat } from "./seat.ts";
import { type JoinedSockets, joinSockets } from "./socket.ts";
import { startTransfer, type Transfer, type TransferEnd } from "./transfer.ts";

/** Why a request was ended before its time. */
type Cause = "client_left" | "too_large" | "deadline" | "seat_lost" | "crashed";

/** A failure of one try: the outcome for the broker and the failure for the client. */
interface Failed {
  readonly outcome: LbOutcome;
  readonly failure: Failure;
  /** The failure does not rule out that another worker can answer the request. */
  readonly elsewhere: boolean;
}

/** Methods whose repeat at another worker has no further effect. Requests with a body are never repeated. */
const REPEATABLE_METHODS = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const SERVICE_RESTART = 1012;

export class LbExchange {
  readonly #call: LbCall;
  readonly #request: Request;
  readonly #abort = new AbortController();
  #cause: Cause | null = null;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #upload: Transfer | null = null;
  /** The secrets of the present worker. */
  #secrets = new SecretForms([]);
  readonly #clientLeft = (): void => this.#stop("client_left");

  constructor(call: LbCall) {
    this.#call = call;
    this.#request = call.c.req.raw;
    this.#request.signal.addEventListener("abort", this.#clientLeft);
  }

  async run(): Promise<Response> {
    const endMs = Date.now() + LB_WAIT_MAX_MS;
    const tried: string[] = [];
    let last: Failed | null = null;
    for (;;) {
      const untilMs = last?.outcome === "worker_failed" ? Math.min(endMs, Date.now() + LB_NEXT_WAIT_MAX_MS) : endMs;
      const seating = await takeSeat(this.#call, { untilMs, avoidIds: tried, lost: () => this.#stop("seat_lost") });
      if (!seating.ok) return this.#refuse(last?.failure ?? seating.failure);
      if (seating.value.kind !== "seat") return this.#refuse(last?.failure ?? CLIENT_LEFT);
      const { seat } = seating.value;
      this.#deadline ??= setTimeout(() => this.#stop("deadline"), LB_CALL_MAX_MS);
      const answered = await this.#tryWorker(seat, tried.length).catch((error: unknown) => {
        this.#stop("crashed");
        this.#end(seat, "unused");
        throw error;
      });
      if (answered instanceof Response) return answered;
      this.#held(seat.leave(answered.outcome));
      last = answered;
      tried.push(seat.ticket.upstream.id);
      const isOver = this.#cause !== null || tried.length >= LB_TRIES_MAX;
      if (isOver || !answered.elsewhere || !this.#isRepeatable()) return this.#refuse(answered.failure);
    }
  }

  #isRepeatable(): boolean {
    const isBodiless = bodyStreamOf(this.#request) === null;
    return REPEATABLE_METHODS.has(this.#request.method) && isBodiless && !asksForSocket(this.#request);
  }

  /** Can another worker be asked? If not, a worker's own 503 is better passed on than replaced by our error. */
  #hasOthers({ workers }: Seat, tried: number): boolean {
    const { affinity } = this.#call;
    const isBound = affinity.kind === "strict" || affinity.kind === "resume";
    return !isBound && tried + 1 < Math.min(workers, LB_TRIES_MAX);
  }

  async #tryWorker(seat: Seat, tried: number): Promise<Response | Failed> {
    const { upstream } = seat.ticket;
    const config = readConfig(this.#call.c.env);
    const credential = await openCredential(upstream, config.encryptionKey).catch(() => undefined);
    if (credential === undefined) return unreachable("the worker's credential cannot be used");
    this.#secrets = upstreamSecrets(upstream, credential);
    const result = await openTunnel(
      {
        baseUrl: upstream.url,
        path: this.#call.target.path,
        search: this.#call.target.search,
        method: this.#request.method,
        headers: toWorkerHeaders(this.#request, credential),
        body: this.#startUpload(),
        signal: this.#abort.signal,
      },
      config.reach,
    );
    if (this.#cause !== null) return this.#failedBy(this.#cause);
    return result.kind === "response" ? this.#answer(seat, result.response, tried) : this.#failedAt(result);
  }

  #startUpload(): ReadableStream<Uint8Array> | null {
    const { headers } = this.#request;
    const body = bodyStreamOf(this.#request);
    if (body === null) return null;
    const { bodyMaxBytes } = this.#call.settings;
    const limits = { lengthBytes: readLength(headers), maxBytes: bodyMaxBytes, holdMs: 0, isUpload: true };
    const upload = startTransfer(body, limits);
    this.#upload = upload;
    this.#held(
      upload.end.then((end) => {
        if (end === "too_large") this.#stop("too_large");
        if (end === "source_broke") this.#stop("client_left");
      }),
    );
    return upload.readable;
  }

  /** Passes a worker's answer on if it can be passed on, and attends to its end. */
  async #answer(seat: Seat, response: Response, tried: number): Promise<Response | Failed> {
    if (response.webSocket !== null) return this.#joinSockets(seat, response, response.webSocket);
    const { bodyMaxBytes } = this.#call.settings;
    const length = readLength(response.headers);
    // workerd makes an empty body for `content-length: 0` too; with that body the answer would be over before its time.
    const hasBody = response.body !== null && length !== 0 && this.#request.method !== "HEAD";
    const isTooLarge = hasBody && length !== null && length > bodyMaxBytes;
    const goesElsewhere = response.status === 503 && this.#isRepeatable() && this.#hasOthers(seat, tried);
    if (isTooLarge || goesElsewhere) response.body?.cancel().catch(() => undefined);
    if (isTooLarge) return tooLargeAnswer(bodyMaxBytes);
    if (goesElsewhere) return workerFailed("bad_answer", "the worker answered 503", true);
    const headers = this.#clientHeaders(seat, response.headers);
    if (response.body === null || !hasBody) {
      // For HEAD the length is that of a body that is not sent, so the header is copied and not computed.
      if (length !== null && this.#request.method === "HEAD") headers.set("content-length", String(length));
      await this.#endBeforeRest(seat, outcomeOf("done", response.status, null));
      return new Response(null, { status: response.status, headers });
    }
    const beforeEnd = async (): Promise<void> => {
      if (this.#upload !== null) await this.#endBeforeRest(seat, outcomeOf("done", response.status, this.#cause));
    };
    const blanker = this.#secrets.isEmpty ? undefined : new SecretBlanker(this.#secrets);
    const limits = { lengthBytes: length, maxBytes: bodyMaxBytes, holdMs: LB_HOLD_MS, isUpload: false };
    const download = startTransfer(response.body, { ...limits, beforeEnd, blanker });
    this.#abort.signal.addEventListener("abort", download.stop);
    const early = await download.begun;
    if (this.#cause !== null) return this.#failedBy(this.#cause);
    if (early === "too_large") return tooLargeAnswer(bodyMaxBytes);
    if (early !== null) return workerFailed("worker_broke_off", "the worker's answer broke off", true);
    this.#held(download.end.then((end) => this.#end(seat, outcomeOf(end, response.status, this.#cause))));
    return new Response(download.readable, { status: response.status, headers, encodeBody: "manual" });
  }

  #joinSockets(seat: Seat, response: Response, workerEnd: WebSocket): Response {
    clearTimeout(this.#deadline ?? null);
    const { 0: clientEnd, 1: ourEnd } = new WebSocketPair();
    const joined = joinSockets(ourEnd, workerEnd, this.#call.settings.bodyMaxBytes, this.#secrets);
    this.#abort.signal.addEventListener("abort", () => joined.stop(SERVICE_RESTART, "the slot was lost"));
    this.#held(this.#endSockets(seat, joined));
    const headers = this.#clientHeaders(seat, response.headers);
    return new Response(null, { status: 101, headers, webSocket: clientEnd });
  }

  async #endSockets(seat: Seat, joined: JoinedSockets): Promise<void> {
    const end = await joined.end;
    this.#release();
    await seat.leave(end === "closed" ? "served" : "worker_failed");
    await within(LB_SOCKET_REST_MS, joined.clientGone, "the client").catch(() => {
      // A client that does not read does not answer the close frame either, and nothing else would end its connection.
      cutOff(this.#call.c.executionCtx);
    });
  }

  #clientHeaders(seat: Seat, headers: Headers): Headers {
    const own = { "x-runpod-worker-id": seat.ticket.upstream.id, "x-request-id": this.#call.c.get("requestId") };
    return toClientHeaders(this.#secrets.isEmpty ? headers : blankHeaders(headers, this.#secrets), own);
  }

  /** Ends both directions. The first cause is kept. */
  #stop(cause: Cause): void {
    this.#cause ??= cause;
    // After any other cause the client is still there and gets an answer, for which the rest of its upload is taken.
    if (cause === "client_left" || cause === "crashed") this.#upload?.stop();
    this.#abort.abort(new Error("the request was stopped"));
  }

  #end(seat: Seat, outcome: LbOutcome): void {
    this.#release();
    this.#held(seat.leave(outcome));
  }

  /** Frees the slot and ends its billing before the client's rest is taken, because the worker has done its part. */
  async #endBeforeRest(seat: Seat, outcome: LbOutcome): Promise<void> {
    const taken = this.#takeRest();
    this.#held(seat.leave(outcome));
    await taken;
    this.#release();
  }

  #release(): void {
    clearTimeout(this.#deadline ?? null);
    this.#request.signal.removeEventListener("abort", this.#clientLeft);
    this.#upload?.stop();
  }

  /**
   * Takes the rest that the client still sends, before the answer is whole. Without this workerd would close the
   * connection soon after, and a client that first sends its whole request would lose the answer with it.
   */
  async #takeRest(): Promise<void> {
    await this.#upload?.takeRest(REST_MAX_MS);
  }

  async #refuse(failure: Failure): Promise<Response> {
    await this.#takeRest();
    this.#release();
    return refuse(this.#call.c, failure);
  }

  /** Keeps work alive that goes on after the answer has begun, or after its client has gone. */
  #held(work: Promise<void>): void {
    this.#call.c.executionCtx.waitUntil(work);
  }

  #failedBy(cause: Cause): Failed {
    switch (cause) {
      case "client_left":
        return failed("client_left", CLIENT_LEFT);
      case "too_large":
        return failed("too_large", { kind: "too_large", maxBytes: this.#call.settings.bodyMaxBytes });
      case "deadline":
        return failed("worker_failed", { kind: "request_timeout", afterMs: LB_CALL_MAX_MS });
      case "crashed":
      case "seat_lost":
        return failed("unused", { kind: "unavailable", message: "the request has lost its worker" });
    }
  }

  #failedAt(result: Exclude<TunnelResult, { readonly kind: "response" }>): Failed {
    switch (result.kind) {
      case "url_refused":
        return unreachable(`the worker's address ${result.message}`);
      case "not_made": {
        const message = `cannot be sent on: ${result.detail}`;
        return failed("unused", { kind: "invalid", field: "request", message });
      }
      case "redirect":
        return workerFailed("worker_redirect", `the worker answered ${result.status}; redirects are not passed on`);
      case "protocol":
        return workerFailed("bad_answer", `the worker's answer cannot be passed on: ${result.detail}`);
      case "failed":
        return unreachable("the worker could not be reached, or closed the connection unanswered");
    }
  }
}

/** The failure when no client is left to read it. */
const CLIENT_LEFT: Failure = { kind: "unavailable", message: "the client has gone" };

function failed(outcome: LbOutcome, failure: Failure, elsewhere = false): Failed {
  return { outcome, failure, elsewhere };
}

function unreachable(message: string): Failed {
  return failed("unreachable", { kind: "bad_gateway", code: "worker_unreachable", message }, true);
}

function workerFailed(code: GatewayCode, message: string, elsewhere = false): Failed {
  return failed("worker_failed", { kind: "bad_gateway", code, message }, elsewhere);
}

function tooLargeAnswer(maxBytes: number): Failed {
  return workerFailed("bad_answer", `the worker's answer has more than ${maxBytes} bytes`);
}

/** The outcome of a request whose answer was passed on. A request that a limit cut short is billed as well. */
function outcomeOf(end: TransferEnd, status: number, cause: Cause | null): LbOutcome {
  if (cause === "client_left" || cause === "too_large") return cause;
  if (status >= 500 || (cause === null && end === "source_broke")) return "worker_failed";
  return cause === null && end === "sink_broke" ? "client_left" : "served";
}

function readLength(headers: Headers): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Ends the invocation and with it the connection of the client. */
function cutOff(context: object): void {
  if ("abort" in context && typeof context.abort === "function") context.abort(new Error("the client does not read"));
}
