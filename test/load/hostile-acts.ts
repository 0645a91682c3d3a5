// What a tenant with a key can send: each act is one request or one socket, with every choice drawn from a seeded generator.
import { type OutgoingHttpHeaders, request } from "node:http";
import { connect } from "node:net";
import { WebSocket } from "ws";
import { MODEL } from "../running/openai-answers.ts";
import { FAULTY } from "../running/openai-server.ts";
import type { Random } from "../sim/random.ts";
import type { Wish } from "./shaped-worker.ts";

export interface HostileWorld {
  readonly url: string;
  readonly key: string;
  readonly receiverUrl: string;
  /** Slugs of the endpoints that the tenant may call. */
  readonly queue: string;
  readonly openai: string;
  readonly lb: string;
  readonly bodyMaxBytes: number;
  /** Ids of jobs of this tenant, to be asked for, cancelled and retried. */
  readonly jobIds: string[];
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: Buffer | string;
  /** Hangs up after this; by default when the answer is there, and after 3 s in any case. */
  readonly leavesAfterMs?: number;
  /** The body goes out in so many pieces, each a tenth of a second after the one before. */
  readonly pieces?: number;
}

/** What became of an act: the status of the answer, or how it ended without one. */
export type Ending = number | "left" | "broken";

const PATIENCE_MS = 3_000;
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "get", "PROPFIND", "REPORT", "TRACE"];
const IDS_KEPT = 500;

export type Act = (world: HostileWorld, random: Random) => Promise<Ending>;

/** The acts with their weights: jobs and OpenAI calls most, since they reach furthest. */
export const ACTS: readonly (readonly [weight: number, name: string, act: Act])[] = [
  [20, "run", (world, random) => submit(world, random, "run")],
  [8, "runsync", (world, random) => submit(world, random, "runsync")],
  [12, "job", ofJob],
  [4, "queue", ofQueue],
  [14, "openai", ofOpenAi],
  [6, "openai path", ofOpenAiPath],
  [4, "openai job", ofOpenAiJob],
  [12, "load balancer", ofLb],
  [4, "socket", ofSocket],
  [6, "worker route", ofWorkerRoute],
  [5, "any path", ofAnyPath],
  [5, "raw bytes", ofRawBytes],
];

function text(random: Random, maxChars: number): string {
  const alphabet = [
    "a",
    "Z",
    "0",
    "%",
    "\\",
    "/",
    "..",
    "é",
    "\u2028",
    "{",
    '"',
    " ",
    ";",
    "?",
    "#",
    "%00",
    "%2f",
    "😀",
  ];
  return Array.from({ length: random.integer(0, maxChars) }, () => random.pick(alphabet)).join("");
}

function bytesOf(world: HostileWorld, random: Random): number {
  return random.chance(0.2) ? world.bodyMaxBytes - 4_096 : random.integer(0, Math.min(world.bodyMaxBytes, 4_096));
}

function wish(world: HostileWorld, random: Random): Wish & { readonly padding?: string } {
  return {
    ...(random.chance(0.3)
      ? { status: random.pick([200, 204, 301, 302, 304, 307, 400, 401, 403, 404, 405, 500]) }
      : {}),
    ...(random.chance(0.1) ? { location: `${world.url}/v1/usage` } : {}),
    ...(random.chance(0.3) ? { delayMs: random.integer(0, 50) } : {}),
    ...(random.chance(0.03) ? { dies: true } : {}),
    ...(random.chance(0.2) ? { outputBytes: bytesOf(world, random) } : {}),
    ...(random.chance(0.3) ? { padding: "p".repeat(bytesOf(world, random)) } : {}),
  };
}

function input(world: HostileWorld, random: Random): unknown {
  if (random.chance(0.7)) return wish(world, random);
  return random.pick([null, 0, "", [], [[[[]]]], "text", { openai_route: "/v1/models" }, { status: "404" }]);
}

function submitBody(world: HostileWorld, random: Random): string {
  if (random.chance(0.05)) return text(random, 200);
  const fields: Record<string, unknown> = { input: input(world, random) };
  if (random.chance(0.3)) {
    fields.policy = random.pick([
      { executionTimeout: 5_000 },
      { ttl: 10_000 },
      { lowPriority: true },
      { ttl: -1 },
      { executionTimeout: "soon" },
    ]);
  }
  if (random.chance(0.3)) {
    const to = random.pick(["200", "500", "302", "410", "hangs"]);
    fields.webhook = random.pick([
      `${world.receiverUrl}/${to}`,
      `${world.receiverUrl}/${to}`,
      "ftp://x",
      text(random, 50),
    ]);
  }
  if (random.chance(0.1)) fields[text(random, 10)] = "x".repeat(random.integer(0, 2_000));
  return JSON.stringify(fields);
}

function keyHeaders(world: HostileWorld, random: Random): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { authorization: `Bearer ${world.key}` };
  if (random.chance(0.1)) headers["idempotency-key"] = `key-${random.integer(0, 50)}`;
  if (random.chance(0.05))
    headers["content-type"] = random.pick(["text/plain", "application/json; charset=utf-16", ""]);
  if (random.chance(0.05)) headers["content-encoding"] = random.pick(["gzip", "br", "x"]);
  if (random.chance(0.05)) headers["x-http-method-override"] = "DELETE";
  if (random.chance(0.03)) headers[`x-long-${random.integer(0, 9)}`] = "h".repeat(random.integer(0, 12_000));
  return headers;
}

async function submit(world: HostileWorld, random: Random, route: "run" | "runsync"): Promise<Ending> {
  const body = submitBody(world, random);
  const wait = route === "runsync" && random.chance(0.3) ? `?wait=${random.pick(["1000", "300000", "0", "x"])}` : "";
  const slug = random.chance(0.9) ? world.queue : random.pick([world.openai, world.lb, "nobody"]);
  const leaves = random.chance(0.1) ? { leavesAfterMs: random.integer(0, 50) } : {};
  const pieces = random.chance(0.03) ? { pieces: random.integer(2, 8) } : {};
  const headers = keyHeaders(world, random);
  return send(world, { method: "POST", path: `/v2/${slug}/${route}${wait}`, headers, body, ...leaves, ...pieces });
}

function anyId(world: HostileWorld, random: Random): string {
  const known = world.jobIds.length > 0 && random.chance(0.85);
  return known
    ? random.pick(world.jobIds)
    : random.pick(["x", "..", `${"0".repeat(36)}-u1`, encodeURIComponent(text(random, 30))]);
}

function ofJob(world: HostileWorld, random: Random): Promise<Ending> {
  const route = random.pick(["status", "status", "status-sync", "cancel", "cancel", "retry", "stream", "stream"]);
  const method = random.pick(["GET", "POST", "POST"]);
  const headers = { ...keyHeaders(world, random), ...(random.chance(0.3) ? { accept: "text/event-stream" } : {}) };
  const query = random.chance(0.1) ? `?ttl=${random.integer(-1, 20_000)}` : "";
  return send(world, { method, path: `/v2/${world.queue}/${route}/${anyId(world, random)}${query}`, headers });
}

function ofQueue(world: HostileWorld, random: Random): Promise<Ending> {
  const [method, path] = random.pick([
    ["POST", `/v2/${world.queue}/purge-queue`],
    ["GET", `/v2/${world.queue}/health`],
    ["GET", `/v2/${world.queue}/requests`],
    ["GET", "/v1/usage"],
    ["GET", "/v1/depth"],
    ["GET", "/v1/webhooks/dead"],
  ] as const);
  return send(world, { method, path, headers: keyHeaders(world, random) });
}

function chat(world: HostileWorld, random: Random): object {
  return {
    model: random.pick([MODEL, MODEL, MODEL, "no-such-model", FAULTY.fails, FAULTY.dies, FAULTY.endless]),
    messages: [{ role: "user", content: "c".repeat(bytesOf(world, random)) }],
    stream: random.chance(0.6),
  };
}

function ofOpenAi(world: HostileWorld, random: Random): Promise<Ending> {
  const route = random.pick(["chat/completions", "chat/completions", "completions", "embeddings", "responses"]);
  const body = random.chance(0.1) ? text(random, 100) : JSON.stringify(chat(world, random));
  const path = `/v2/${world.openai}/openai/v1/${route}`;
  const leaves = { leavesAfterMs: random.chance(0.5) ? random.integer(0, 500) : 1_000 };
  return send(world, { method: "POST", path, headers: keyHeaders(world, random), body, ...leaves });
}

function ofOpenAiPath(world: HostileWorld, random: Random): Promise<Ending> {
  const query = random.pick(["", "?x=\\", `?q=${"q".repeat(3_000)}`, "?%00", `?${encodeURI(text(random, 20))}`]);
  const path = random.pick([
    "models",
    "models/x",
    "files",
    "sleep",
    "load_lora_adapter",
    "../ping",
    "%2e%2e/x",
    "responses/r",
  ]);
  const method = random.pick(METHODS);
  const body = random.chance(0.3) ? { body: "{}" } : {};
  return send(world, {
    method,
    path: `/v2/${world.openai}/openai/v1/${path}${query}`,
    headers: keyHeaders(world, random),
    ...body,
  });
}

function ofOpenAiJob(world: HostileWorld, random: Random): Promise<Ending> {
  const route = random.pick([
    "/v1/chat/completions",
    "/v1/models",
    "/v1/nothing",
    "/v1/../ping",
    "//x",
    "/v1/models?x=\\",
  ]);
  const openaiInput = { model: MODEL, messages: [{ role: "user", content: "hello" }] };
  const body = JSON.stringify({ input: { openai_route: route, openai_input: openaiInput } });
  return send(world, { method: "POST", path: `/v2/${world.openai}/run`, headers: keyHeaders(world, random), body });
}

function ofLb(world: HostileWorld, random: Random): Promise<Ending> {
  const path = random.pick([
    "hello",
    "echo",
    "slow",
    "ticks",
    "drips",
    "gzip",
    "digest",
    "nothing",
    "words?bytes=200000",
  ]);
  const method = random.pick(["GET", "GET", "POST", "POST", ...METHODS]);
  const body = random.chance(0.5) ? { body: Buffer.alloc(bytesOf(world, random), "b") } : {};
  const pieces = random.chance(0.1) ? { pieces: random.integer(2, 8) } : {};
  const affinity = random.chance(0.1) ? { "x-runpod-worker-id": random.pick(["x", "up-1"]) } : {};
  const headers = { ...keyHeaders(world, random), ...affinity };
  const leaves = { leavesAfterMs: random.integer(0, 500) };
  return send(world, { method, path: `/lb/${world.lb}/${path}`, headers, ...body, ...pieces, ...leaves });
}

function ofWorkerRoute(world: HostileWorld, random: Random): Promise<Ending> {
  const slug = random.pick([world.queue, world.openai, "nobody"]);
  const [method, path] = random.pick([
    ["GET", "job-take/w1?job_in_progress=0"],
    ["GET", "ping/w1?job_id=x"],
    ["POST", `job-done/w1/${anyId(world, random)}`],
    ["POST", `job-stream/w1/${anyId(world, random)}`],
    ["POST", `callback/${anyId(world, random)}/lease`],
  ] as const);
  // Refusals of some of these are held for seconds.
  const leaves = { leavesAfterMs: random.integer(20, 300) };
  return send(world, { method, path: `/v2/${slug}/${path}`, headers: keyHeaders(world, random), ...leaves });
}

function ofAnyPath(world: HostileWorld, random: Random): Promise<Ending> {
  const path = `/${random.pick(["", "v1", "v2", "lb", `v2/${world.queue}`])}/${encodeURI(text(random, 20)).replaceAll("#", "")}`;
  const made = { authorization: `Bearer ${random.pick(["", "wb_live_x", world.key, `${world.key}x`])}` };
  return send(world, { method: random.pick(METHODS), path, headers: { ...keyHeaders(world, random), ...made } });
}

/** One request by Node's own client, which lets through what `fetch` would refuse. */
function send(world: HostileWorld, sent: Sent): Promise<Ending> {
  return new Promise((resolve) => {
    const { method, path, headers, body, pieces = 1 } = sent;
    const length = body === undefined || pieces > 1 ? {} : { "content-length": Buffer.byteLength(body) };
    let outgoing: ReturnType<typeof request>;
    try {
      outgoing = request(`${world.url}/`, { method, path, headers: { ...headers, ...length } });
    } catch {
      // Not even this client sends it.
      resolve("broken");
      return;
    }
    const leaving = setTimeout(() => leave("left"), sent.leavesAfterMs ?? PATIENCE_MS);
    const leave = (ending: Ending): void => {
      clearTimeout(leaving);
      outgoing.destroy();
      resolve(ending);
    };
    outgoing.once("error", () => leave("broken"));
    outgoing.once("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => void (chunks.length < 50 && chunks.push(chunk)));
      response.once("error", () => leave("broken"));
      response.once("end", () => {
        noteJob(world, Buffer.concat(chunks).toString("latin1"));
        leave(response.statusCode ?? 0);
      });
    });
    write(outgoing, body, pieces);
  });
}

function write(outgoing: ReturnType<typeof request>, body: Buffer | string | undefined, pieces: number): void {
  if (body === undefined || pieces === 1) return void outgoing.end(body);
  const bytes = Buffer.from(body);
  const pieceBytes = Math.ceil(bytes.length / pieces);
  let at = 0;
  const writing = setInterval(() => {
    if (outgoing.destroyed || at >= bytes.length) {
      clearInterval(writing);
      if (!outgoing.destroyed) outgoing.end();
      return;
    }
    outgoing.write(bytes.subarray(at, at + pieceBytes));
    at += pieceBytes;
  }, 100);
}

function noteJob(world: HostileWorld, body: string): void {
  const id = /"id":"([^"]{10,80})"/.exec(body)?.[1];
  if (id === undefined) return;
  world.jobIds.push(id);
  if (world.jobIds.length > IDS_KEPT) world.jobIds.shift();
}

function ofSocket(world: HostileWorld, random: Random): Promise<Ending> {
  return new Promise((resolve) => {
    const url = `${world.url.replace("http", "ws")}/lb/${world.lb}/socket`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${world.key}` } });
    const end = (ending: Ending): void => {
      clearTimeout(leaving);
      socket.terminate();
      resolve(ending);
    };
    const leaving = setTimeout(() => end("left"), random.integer(50, 1_000));
    const said = [text(random, 20), "die", "close 4000 bye", "b".repeat(bytesOf(world, random))];
    socket.once("open", () => {
      for (let words = random.integer(0, 20); words > 0; words -= 1) socket.send(random.pick(said));
    });
    socket.once("error", () => end("broken"));
    socket.once("close", () => end("left"));
  });
}

function ofRawBytes(world: HostileWorld, random: Random): Promise<Ending> {
  return new Promise((resolve) => {
    const { hostname, port } = new URL(world.url);
    const socket = connect(Number(port), hostname);
    const end = (ending: Ending): void => {
      clearTimeout(leaving);
      if (random.chance(0.5)) socket.resetAndDestroy();
      else socket.destroy();
      resolve(ending);
    };
    const leaving = setTimeout(() => end("left"), random.integer(10, 500));
    const head = `POST /v2/${world.queue}/run HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.key}\r\n`;
    socket.on("error", () => end("broken"));
    socket.on("data", () => undefined);
    socket.once("connect", () => {
      socket.write(
        random.pick([
          "\u0016\u0003\u0001",
          `${text(random, 50)}\r\n\r\n`,
          head,
          `${head}Content-Length: 1000\r\n\r\n{"input":`,
          `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
          `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}`,
          `GET /lb/${world.lb}/hello HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${world.key}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
        ]),
      );
    });
  });
}
