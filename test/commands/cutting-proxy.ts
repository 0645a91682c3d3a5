// A way to a broker that breaks where a test wants it: before a call has reached the broker, or when its answer comes back.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** `lost`: the broker has done it, and nobody learns of it. An object is answered in place of what the broker would. */
export type Fate = "passes" | "cut" | "lost" | { readonly status: number; readonly body: object };

export class CuttingProxy {
  /** What becomes of each call, such as of `POST /v2/templates`. A promise lets the call wait. */
  fate: (call: string) => Fate | Promise<Fate> = () => "passes";
  /** The calls that came, in order. */
  readonly calls: string[] = [];
  readonly #target: string;
  readonly #server: Server;

  constructor(target: string) {
    this.#target = target;
    this.#server = createServer((request, response) => void this.#pass(request, response));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers } = request;
    const body = await buffer(request);
    const call = `${method} ${url}`;
    this.calls.push(call);
    const fate = await this.fate(call);
    if (fate === "cut") return void request.socket.destroy();
    if (typeof fate === "object") return void response.writeHead(fate.status).end(JSON.stringify(fate.body));
    const named = ["authorization", "content-type", "if-match", "idempotency-key"];
    const passed = named.flatMap((name) =>
      headers[name] === undefined ? [] : [[name, String(headers[name])] as const],
    );
    const sent = {
      method,
      headers: Object.fromEntries(passed),
      ...(body.length === 0 ? {} : { body: new Uint8Array(body) }),
    };
    const answer = await fetch(`${this.#target}${url}`, sent);
    const answered = Buffer.from(await answer.arrayBuffer());
    if (fate === "lost") return void request.socket.destroy();
    const etag = answer.headers.get("etag");
    response.writeHead(answer.status, {
      "content-type": answer.headers.get("content-type") ?? "text/plain",
      ...(etag === null ? {} : { etag }),
    });
    response.end(answered);
  }
}
