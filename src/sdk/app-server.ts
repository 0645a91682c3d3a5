// A worker of a load-balanced endpoint: an app's requests, and the health by which the endpoint chooses its workers.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, type FetchHandler, refuse } from "./exchange.ts";
import type { Log } from "./log.ts";
import type { ServePlace } from "./serve-place.ts";

/** What the health route answers in each state (docs/wire.md 6). */
const HEALTH = { starting: 204, ready: 200, failed: 503, draining: 503 } as const;

/**
 * Longer than a gateway keeps a connection that it does not use, so that none is closed while a request is on its way.
 */
const IDLE_MAX_MS = 75_000;
/** How long a request may take to arrive: longer than the 5.5 minutes that RunPod lets one run. */
const ARRIVES_MAX_MS = 360_000;
/** Who has not asked for so long asks again before it sends a request. */
const ASKED_MAX_MS = 30_000;
/** Waybill asks a worker that has requests every 10 s. */
const HEARS_MAX_MS = 12_000;
/** For what was on its way when it was told. */
const SETTLES_MS = 500;
/** Clients close their connections themselves behind the last answer. */
const CLOSES_MAX_MS = 1_000;

export class AppServer {
  readonly #handler: FetchHandler;
  readonly #place: ServePlace;
  readonly #log: Log;
  readonly #server: Server;
  readonly #healthServer: Server | null;
  #state: keyof typeof HEALTH = "starting";
  #running = 0;
  /**
   * When somebody asked for the health last, and when it was first told that this ends; by the clock of `performance`.
   */
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #toldAtMs = Number.POSITIVE_INFINITY;
  #changed: () => void = () => undefined;

  constructor(handler: FetchHandler, place: ServePlace, log: Log) {
    this.#handler = handler;
    this.#place = place;
    this.#log = log;
    this.#server = serverOf((request, response) => this.#take(request, response));
    const { healthPort } = place;
    this.#healthServer = healthPort === null ? null : serverOf((request, response) => this.#check(request, response));
  }

  /** Resolves with the port. */
  async listen(): Promise<number> {
    const { port, healthPort } = this.#place;
    if (this.#healthServer !== null) await listenOn(this.#healthServer, healthPort ?? 0);
    return listenOn(this.#server, port);
  }

  ready(): void {
    this.#state = "ready";
  }

  /** The requests that run. */
  get running(): number {
    return this.#running;
  }

  /** Says that this worker will never be ready, and resolves when somebody was told, or has not asked for so long. */
  async fail(maxMs: number): Promise<void> {
    const told = this.#untilChanged();
    this.#state = "failed";
    await within(told, maxMs);
    await this.#close();
  }

  /**
   * Is unhealthy from now on, and ends when no request runs and none is to be expected: whoever asked for the health of
   * late sends requests until it hears of this. Resolves with the number of requests that were cut off, because they
   * took longer than `maxMs`.
   */
  async drain(maxMs: number): Promise<number> {
    this.#state = "draining";
    const beganMs = performance.now();
    const endMs = beganMs + maxMs;
    const isAsked = this.#askedAtMs > beganMs - ASKED_MAX_MS;
    for (;;) {
      const heardMs = isAsked ? Math.min(this.#toldAtMs + SETTLES_MS, beganMs + HEARS_MAX_MS) : beganMs;
      const nextMs = Math.min(endMs, this.#running > 0 ? endMs : heardMs);
      const leftMs = nextMs - performance.now();
      if (leftMs <= 0) break;
      await within(this.#untilChanged(), leftMs);
    }
    const cut = this.#running;
    if (cut > 0) this.#server.closeAllConnections();
    await this.#close();
    return cut;
  }

  async #close(): Promise<void> {
    const servers = this.#healthServer === null ? [this.#server] : [this.#server, this.#healthServer];
    const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
    for (const server of servers) server.closeIdleConnections();
    await within(Promise.all(closed), CLOSES_MAX_MS);
    for (const server of servers) server.closeAllConnections();
  }

  #take(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (this.#isHealth(incoming)) this.#tellHealth(outgoing);
    else if (this.#state === "ready" || this.#state === "draining") this.#run(incoming, outgoing);
    else refuse(outgoing, 503, "the worker is not ready", this.#isEnding());
  }

  #run(incoming: IncomingMessage, outgoing: ServerResponse): void {
    this.#running += 1;
    outgoing.once("close", () => {
      this.#running -= 1;
      this.#changed();
    });
    const options = { log: this.#log, isLast: () => this.#isEnding() };
    void exchange(this.#handler, incoming, outgoing, options);
  }

  /** What comes to the port that is for health alone. */
  #check(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (this.#isHealth(incoming)) this.#tellHealth(outgoing);
    else refuse(outgoing, 404, "this port tells the worker's health alone", this.#isEnding());
  }

  #isHealth({ method, url = "" }: IncomingMessage): boolean {
    const [path] = url.split("?");
    return path === this.#place.healthPath && (method === "GET" || method === "HEAD");
  }

  #tellHealth(outgoing: ServerResponse): void {
    this.#askedAtMs = performance.now();
    if (this.#isEnding()) outgoing.once("close", () => this.#noteTold());
    outgoing.writeHead(HEALTH[this.#state], this.#isEnding() ? { connection: "close" } : {}).end();
  }

  #noteTold(): void {
    this.#toldAtMs = Math.min(this.#toldAtMs, performance.now());
    this.#changed();
  }

  #isEnding(): boolean {
    return this.#state === "failed" || this.#state === "draining";
  }

  #untilChanged(): Promise<void> {
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}

function serverOf(listener: (request: IncomingMessage, response: ServerResponse) => void): Server {
  return createServer({ keepAliveTimeout: IDLE_MAX_MS, requestTimeout: ARRIVES_MAX_MS }, listener);
}

function listenOn(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Resolves when it does, or after this time. */
async function within(promise: Promise<unknown>, maxMs: number): Promise<void> {
  const isOver = new AbortController();
  const late = sleep(maxMs, undefined, { signal: isOver.signal }).catch(() => undefined);
  await Promise.race([promise, late]);
  isOver.abort();
}
