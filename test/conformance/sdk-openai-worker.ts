// A worker of our own in the manner of RunPod's worker-vllm, the twin of worker_openai.py: it answers as the server in
// test/running/openai-answers.ts does, but a stream is text that is glued and cut anywhere, and an error is a yielded object.
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { type Job, start } from "../../src/sdk/worker.ts";
import {
  chatBody,
  chatEvents,
  completionBody,
  completionEvents,
  embeddingsBody,
  MODEL,
  MODELS_BODY,
  type OpenAiRequest,
  readRequest,
  refuse,
  refuseModel,
  responseBody,
  responseEvents,
} from "../running/openai-answers.ts";
import { EVENTS_BEFORE_DEATH, FAULTY } from "../running/openai-server.ts";
import { endWithRunner, mark } from "./sdk-marks.ts";

const inputSchema = z.object({ openai_route: z.string(), openai_input: z.unknown() });

const SLOW_MS = 1_500;
/** Borders in the middle of a line, of a word, between the two ends of a line, and behind several events. */
const PIECE_LENGTHS = [7, 1, 300, 61, 900, 2];

function* piecesOf(text: string): Generator<string> {
  for (let at = 0, count = 0; at < text.length; count += 1) {
    const length = PIECE_LENGTHS[count % PIECE_LENGTHS.length] ?? 1;
    yield text.slice(at, at + length);
    at += length;
  }
}

interface Answers {
  readonly body: (request: OpenAiRequest) => object;
  readonly events?: (request: OpenAiRequest) => readonly string[];
}

const ROUTES: Readonly<Record<string, Answers>> = {
  "/v1/chat/completions": { body: chatBody, events: chatEvents },
  "/v1/completions": { body: completionBody, events: completionEvents },
  "/v1/responses": { body: responseBody, events: responseEvents },
  "/v1/embeddings": { body: embeddingsBody },
};

async function* answer({ input, signal }: Job<z.infer<typeof inputSchema>>): AsyncGenerator<unknown> {
  if (input.openai_route === "/v1/models") return yield MODELS_BODY;
  const asked = readRequest(input.openai_input);
  if ("status" in asked) return yield asked.body;
  const { request } = asked;
  const { model } = request;
  if (model === FAULTY.fails) return yield refuse(500, "InternalServerError", "EngineCore encountered an issue.").body;
  const faulty: readonly string[] = Object.values(FAULTY);
  if (model !== MODEL && !faulty.includes(model)) return yield refuseModel(model).body;
  if (model === FAULTY.slow) await sleep(SLOW_MS);
  const answers = ROUTES[input.openai_route];
  if (answers === undefined) throw new Error(`no such route: ${input.openai_route}`);
  if (request.stream !== true || answers.events === undefined) return yield answers.body(request);
  const events = answers.events(request);
  if (model === FAULTY.endless) return yield* endless(events, signal);
  if (model === FAULTY.dies) {
    const half = events[EVENTS_BEFORE_DEATH] ?? "";
    yield* piecesOf(events.slice(0, EVENTS_BEFORE_DEATH).join("") + half.slice(0, half.length / 2));
    await sleep(300);
    throw new Error("EngineCore died");
  }
  for (const piece of piecesOf(events.join(""))) {
    yield piece;
    await sleep(5);
  }
}

async function* endless([first = "", next = ""]: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
  signal.addEventListener("abort", () => mark("endless", "cancelled"));
  yield first;
  while (!signal.aborted) {
    yield next;
    await sleep(20);
  }
}

endWithRunner();
await start({ handler: answer, input: inputSchema, concurrency: 4, returnAggregateStream: true });
