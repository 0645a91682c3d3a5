// An OpenAI server for tests, with vLLM's answers and errors, and some models that fail in ways of their own.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import {
  chatBody,
  chatEvents,
  completionBody,
  completionEvents,
  embeddingsBody,
  IMAGES_BODY,
  MODEL,
  MODELS_BODY,
  type OpenAiRequest,
  type Refusal,
  readRequest,
  refuse,
  refuseModel,
  responseBody,
  responseEvents,
  SPEECH,
} from "./openai-answers.ts";

/**
 * A model that answers with 500, one that breaks off in the middle of its answer, a late one, one that never ends, and one that
 * pauses after its first event.
 */
export const FAULTY = { fails: "fails", dies: "dies", slow: "slow", endless: "endless", pauses: "pauses" } as const;

const SLOW_MS = 1_500;
/** Between two events, so that they do not arrive as one. */
const EVENT_PAUSE_MS = 10;
/** Longer than Waybill lets a client wait without a sign of life. */
const LONG_PAUSE_MS = 7_000;
/** Long enough for its last words to be sent on. */
const DEATH_AFTER_MS = 300;
/** And half of one more, which no client must be shown. */
export const EVENTS_BEFORE_DEATH = 3;

/** A request as the server saw it. */
export interface SeenRequest {
  /** `/v1/chat/completions`, whatever stands before it. */
  readonly route: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
  /** When the caller hung up before the answer's end, in epoch milliseconds. */
  leftAtMs: number | null;
}

export interface OpenAiServer {
  /** Its base, without `/v1`. */
  readonly url: string;
  /** All requests, in the order of their arrival. */
  readonly seen: readonly SeenRequest[];
  stop(): Promise<void>;
}

/** Listens on a free port. Anything before `/v1/` in a path is let pass; a call without `Bearer KEY` is refused. */
export async function startOpenAiServer(key: string): Promise<OpenAiServer> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    answer(key, seen, request, response).catch((error) => response.destroy(error));
  });
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the OpenAI server got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  key: string,
  seen: SeenRequest[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const route = /\/v1\/[^?]*/.exec(request.url ?? "")?.[0] ?? "";
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const record: SeenRequest = { route, headers: request.headers, body: Buffer.concat(chunks), leftAtMs: null };
  seen.push(record);
  response.once("close", () => {
    if (!response.writableFinished) record.leftAtMs = Date.now();
  });
  // vLLM's own words for it.
  if (request.headers.authorization !== `Bearer ${key}`) return sendJson(response, 401, { error: "Unauthorized" });
  if (route === "/v1/models") return sendJson(response, 200, MODELS_BODY);
  const asked = route === "/v1/audio/transcriptions" ? await readForm(record) : readRequest(parse(record.body));
  if ("status" in asked) return sendJson(response, asked.status, asked.body);
  await answerModel(response, route, asked);
}

/** What a request asks for, and the file that a form brought. */
interface Asked {
  readonly request: OpenAiRequest;
  readonly file?: File;
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}

async function readForm({ headers, body }: SeenRequest): Promise<Asked | Refusal> {
  const type = headers["content-type"] ?? "";
  const form = await new Response(new Uint8Array(body), { headers: { "Content-Type": type } }).formData();
  const [file, model] = [form.get("file"), form.get("model")];
  if (!(file instanceof File) || typeof model !== "string") return refuse(400, "BadRequestError", "no file or model");
  return { request: { model }, file };
}

async function answerModel(response: ServerResponse, route: string, asked: Asked): Promise<void> {
  const { request, file } = asked;
  const { model } = request;
  if (model === FAULTY.fails) {
    const { status, body } = refuse(500, "InternalServerError", "EngineCore encountered an issue.");
    return sendJson(response, status, body);
  }
  if (model === FAULTY.slow) await sleep(SLOW_MS);
  else if (model !== MODEL && model !== FAULTY.dies && model !== FAULTY.endless && model !== FAULTY.pauses) {
    const { status, body } = refuseModel(model);
    return sendJson(response, status, body);
  }
  if (route === "/v1/audio/speech") return send(response, 200, "audio/mpeg", SPEECH);
  if (route === "/v1/audio/transcriptions") {
    const text = Buffer.from((await file?.arrayBuffer()) ?? new ArrayBuffer()).toString("latin1");
    return sendJson(response, 200, { text: `${file?.name} has ${text.length} bytes`, usage: null });
  }
  const answers = ANSWERS[route];
  if (answers === undefined) return sendJson(response, 404, { detail: "Not Found" });
  if (request.stream === true && answers.events !== undefined)
    return stream(response, answers.events(request), request);
  if (model === FAULTY.dies) return void response.destroy();
  sendJson(response, 200, answers.body(request));
}

interface Answers {
  readonly body: (request: OpenAiRequest) => object;
  readonly events?: (request: OpenAiRequest) => string[];
}

const ANSWERS: Readonly<Record<string, Answers>> = {
  "/v1/chat/completions": { body: chatBody, events: chatEvents },
  "/v1/completions": { body: completionBody, events: completionEvents },
  "/v1/responses": { body: responseBody, events: responseEvents },
  "/v1/embeddings": { body: embeddingsBody },
  "/v1/images/generations": { body: () => IMAGES_BODY },
};

async function stream(response: ServerResponse, events: readonly string[], request: OpenAiRequest): Promise<void> {
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  const [first = "", second = ""] = events;
  if (request.model === FAULTY.endless) {
    response.write(first);
    while (!response.destroyed) {
      response.write(second);
      await sleep(EVENT_PAUSE_MS);
    }
    return;
  }
  if (request.model === FAULTY.dies) return dieInTheMiddle(response, events);
  for (const [at, event] of events.entries()) {
    response.write(event);
    await sleep(at === 0 && request.model === FAULTY.pauses ? LONG_PAUSE_MS : EVENT_PAUSE_MS);
  }
  response.end();
}

async function dieInTheMiddle(response: ServerResponse, events: readonly string[]): Promise<void> {
  const next = events[EVENTS_BEFORE_DEATH] ?? "";
  response.write(events.slice(0, EVENTS_BEFORE_DEATH).join("") + next.slice(0, next.length / 2));
  await sleep(DEATH_AFTER_MS);
  response.destroy();
}

function sendJson(response: ServerResponse, status: number, body: object): void {
  send(response, status, "application/json", Buffer.from(JSON.stringify(body)));
}

function send(response: ServerResponse, status: number, type: string, body: Buffer): void {
  response.writeHead(status, { "Content-Type": type, "Content-Length": body.length }).end(body);
}
