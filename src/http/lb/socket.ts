// A WebSocket through a load-balanced endpoint: messages go on to the other side until one side ends it, a message is
// too large, none has come for too long, or one side may have left too much unread (core/lb/unread-bytes.ts).

import type { SecretForms } from "../../core/access/secret-forms.ts";
import { UnreadBytes } from "../../core/lb/unread-bytes.ts";
import { LB_SOCKET_IDLE_MS } from "../../core/limits.ts";

/** `worker_broke`: the worker's connection ended without a close frame. */
export type SocketEnd = "closed" | "worker_broke";

export interface JoinedSockets {
  /** Never rejects. */
  readonly end: Promise<SocketEnd>;
  /** Resolves when the client has closed, too: until then the messages that it has not read are in our memory. */
  readonly clientGone: Promise<void>;
  /** Ends both sides with a code of RFC 6455. */
  stop(code: number, reason: string): void;
}

const GOING_AWAY = 1001;
const UNREAD = 1008;
const TOO_LARGE = 1009;
const BROKEN = 1011;
const SILENT = "bytes may be unread: send a message now and then";
/** This code means that a connection ended without a close frame or without a code, and it may not be sent. */
const NO_CODE = 1005;
const NO_FRAME = 1006;
/** RFC 6455: a reason has at most 123 bytes. */
const REASON_MAX_BYTES = 123;

/** Joins two sockets that are not accepted yet. A message of more than `maxBytes` ends both. */
export function joinSockets(
  client: WebSocket,
  worker: WebSocket,
  maxBytes: number,
  secrets: SecretForms | null = null,
): JoinedSockets {
  const ended = Promise.withResolvers<SocketEnd>();
  const gone = Promise.withResolvers<void>();
  let isOver = false;
  const openedMs = Date.now();
  const unread = { client: new UnreadBytes(openedMs), worker: new UnreadBytes(openedMs) };
  let idle = setTimeout(() => undefined, 0);
  const stop = (code: number, reason: string): void => {
    clearTimeout(idle);
    isOver = true;
    for (const socket of [client, worker]) closeSocket(socket, code, reason);
    ended.resolve("closed");
  };
  const touch = (): void => {
    clearTimeout(idle);
    idle = setTimeout(() => stop(GOING_AWAY, "no message came for too long"), LB_SOCKET_IDLE_MS);
  };
  const listen = (from: WebSocket, to: WebSocket, whenBroken: SocketEnd): void => {
    const [ofSender, ofReader] = from === client ? [unread.client, unread.worker] : [unread.worker, unread.client];
    from.binaryType = "arraybuffer";
    from.addEventListener("message", ({ data }) => {
      if (isOver) return;
      touch();
      const bytes = sizeOf(data);
      if (bytes > maxBytes) return stop(TOO_LARGE, "the message is too large");
      ofSender.forgive(bytes, Date.now());
      if (!ofReader.add(bytes)) return stop(UNREAD, `${Math.round(ofReader.bytes)} ${SILENT}`);
      try {
        to.send(from === worker ? blankMessage(data, secrets) : data);
      } catch {
        stop(BROKEN, "the other side has gone");
      }
    });
    const end = (how: SocketEnd): void => {
      clearTimeout(idle);
      isOver = true;
      if (from === client) gone.resolve();
      ended.resolve(how);
    };
    from.addEventListener("close", ({ code, reason }) => {
      const isBroken = code === NO_FRAME;
      const shownReason = from === worker && secrets !== null ? secrets.blankText(reason) : reason;
      closeSocket(to, isBroken ? BROKEN : code, isBroken ? "the other side broke off" : shownReason);
      // The close handshake needs this answer; without it the peer would wait for one.
      closeSocket(from, isBroken ? BROKEN : code, reason);
      end(isBroken ? whenBroken : "closed");
    });
    from.addEventListener("error", () => {
      closeSocket(to, BROKEN, "the other side broke off");
      end(whenBroken);
    });
    from.accept();
  };
  touch();
  listen(worker, client, "worker_broke");
  listen(client, worker, "closed");
  return { end: ended.promise, clientGone: gone.promise, stop };
}

/** May be called for a closed socket. A code that must not be sent would leave it open or break the peer's rules. */
function closeSocket(socket: WebSocket, code: number, reason: string): void {
  try {
    if (code === NO_CODE) socket.close();
    else if (!maySend(code)) socket.close(BROKEN, "the other side broke off");
    else socket.close(code, new TextEncoder().encode(reason).length > REASON_MAX_BYTES ? "" : reason);
  } catch {
    // The socket is closed already.
  }
}

/** The codes of RFC 6455, 7.4, and those that IANA has registered since. */
function maySend(code: number): boolean {
  if (code >= 3_000) return code <= 4_999;
  return code >= 1_000 && code <= 1_014 && code !== 1_004 && code !== NO_CODE && code !== NO_FRAME;
}

/** A worker's message with the secrets that the worker was sent blanked, as far as they are within one message. */
function blankMessage(data: string | ArrayBuffer, secrets: SecretForms | null): string | ArrayBuffer | Uint8Array {
  if (secrets === null || secrets.isEmpty) return data;
  return typeof data === "string" ? secrets.blankText(data) : secrets.blankBytes(new Uint8Array(data));
}

function sizeOf(data: unknown): number {
  if (typeof data === "string") return new TextEncoder().encode(data).length;
  return data instanceof ArrayBuffer ? data.byteLength : Number.POSITIVE_INFINITY;
}
