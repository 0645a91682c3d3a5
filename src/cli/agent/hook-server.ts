// The agent's address: who may call, which state is the newest, and one request of an endpoint after the other.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Webhook } from "standardwebhooks";
import type * as z from "zod";
import {
  type HookAnswer,
  type HookRequest,
  type hookErrorSchema,
  hookRequestSchema,
} from "../../contract/fleet-hook.ts";
import { messageOf } from "../../core/failure.ts";
import { namePrefix } from "../../core/fleet/provider.ts";
import { parseJson } from "../../core/json/value.ts";

type HookError = z.infer<typeof hookErrorSchema>;

export interface HookServerOptions {
  /** `whsec_` and base64. */
  readonly secret: string;
  readonly apply: (request: HookRequest) => Promise<HookAnswer>;
}

interface Reply {
  readonly status: number;
  readonly body: HookAnswer | HookError;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The one path that there is. */
const HOOK_PATH = "/fleet";
/** A thousand machines with their variables, and an environment of 64 KB. */
const BODY_MAX_BYTES = 16 * 1024 * 1024;
/** For the whole request: it comes from the same machine. */
const REQUEST_MAX_MS = 30_000;
const NAME = /^[a-z0-9-]{1,48}$/;

export class HookServer {
  readonly #webhook: Webhook;
  readonly #apply: HookServerOptions["apply"];
  readonly #server: Server;
  /** By endpoint: the newest number that was taken. */
  readonly #newest = new Map<string, number>();
  /** By endpoint: the end of its last request. */
  readonly #turns = new Map<string, Promise<unknown>>();

  /** Throws where the secret cannot verify anything. */
  constructor({ secret, apply }: HookServerOptions) {
    this.#webhook = new Webhook(secret);
    this.#apply = apply;
    this.#server = createServer({ requestTimeout: REQUEST_MAX_MS }, (request, response) => {
      this.#handle(request).then(
        (reply) => send(response, reply),
        (error: unknown) => {
          // A caller who is gone in the middle of its request waits for nothing.
          if (request.errored !== null) return response.destroy();
          console.error(error);
          send(response, refuse(500, "The agent has failed; its output tells more."));
        },
      );
    });
  }

  /** Listens on 127.0.0.1, on any free port for 0. Resolves with the address to call; rejects where the port cannot be had. */
  async listen(port: number): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    const address = this.#server.address();
    if (typeof address !== "object" || address === null) throw new Error("The agent got no port.");
    return `http://127.0.0.1:${address.port}${HOOK_PATH}`;
  }

  /** Takes no more requests, and breaks off those that are there. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #handle(request: IncomingMessage): Promise<Reply> {
    if ((request.url ?? "").split("?")[0] !== HOOK_PATH) return refuse(404, `The agent takes POST ${HOOK_PATH} alone.`);
    if (request.method !== "POST") {
      return { ...refuse(405, `The agent takes POST ${HOOK_PATH} alone.`), headers: { allow: "POST" } };
    }
    const body = await readBody(request);
    if (body === null) return refuse(413, `The body is over ${BODY_MAX_BYTES} bytes.`);
    const stranger = this.#whyNotGenuine(request, body);
    if (stranger !== null) return refuse(401, `The request is not signed by the agent's secret: ${stranger}.`);
    const value = parseJson(body);
    if (value === undefined) return refuse(400, "The body is not JSON.");
    const parsed = hookRequestSchema.safeParse(value);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const place = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".");
      return refuse(422, `${place}: ${issue?.message ?? "it has another shape"}.`);
    }
    const wrong = wrongName(parsed.data);
    return wrong === null ? this.#inTurn(parsed.data) : refuse(422, wrong);
  }

  /** Null: it is genuine. */
  #whyNotGenuine({ headers }: IncomingMessage, body: string): string | null {
    const names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    try {
      const signed = Object.fromEntries(names.map((name) => [name, String(headers[name] ?? "")]));
      this.#webhook.verify(body, signed, { jsonParse: false });
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  #inTurn(request: HookRequest): Promise<Reply> {
    const { endpointId } = request;
    const turn = (this.#turns.get(endpointId) ?? Promise.resolve()).then(() => this.#take(request));
    this.#turns.set(
      endpointId,
      turn.catch(() => undefined),
    );
    return turn;
  }

  async #take(request: HookRequest): Promise<Reply> {
    const { endpointId, number } = request;
    const newest = this.#newest.get(endpointId) ?? Number.NEGATIVE_INFINITY;
    // The same number comes again where a request was doubled on its way: what it wants was done.
    if (number <= newest) {
      const detail = `The agent has taken the state ${newest} of the endpoint, so it does not take ${number}.`;
      return { status: 409, body: { number: newest, detail } };
    }
    this.#newest.set(endpointId, number);
    return { status: 200, body: await this.#apply(request) };
  }
}

/** Null: it is too large. The rest of such a body is read and dropped, because a connection that is broken off brings no answer. */
async function readBody(request: IncomingMessage): Promise<string | null> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > BODY_MAX_BYTES) pieces.length = 0;
    else pieces.push(piece);
  }
  return bytes > BODY_MAX_BYTES ? null : Buffer.concat(pieces).toString("utf8");
}

/** A machine's name becomes that of a file. Null: all names are right. */
function wrongName({ endpointId, machines }: HookRequest): string | null {
  const prefix = namePrefix(endpointId);
  const seen = new Set<string>();
  for (const [at, { name }] of machines.entries()) {
    if (!name.startsWith(prefix) || !NAME.test(name)) {
      return `machines.${at}.name: it must be ${prefix} and lower-case letters, digits or hyphens, at most 48 characters in all.`;
    }
    if (seen.has(name)) return `machines.${at}.name: ${name} is in the list twice.`;
    seen.add(name);
  }
  return null;
}

function refuse(status: number, detail: string): Reply {
  return { status, body: { detail } };
}

function send(response: ServerResponse, { status, body, headers = {} }: Reply): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(text);
}
