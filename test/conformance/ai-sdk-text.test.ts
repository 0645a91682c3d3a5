// Text by `ai` with RunPod's provider and with the one for any OpenAI server, all unmodified: against a server alone, which shows
// that the cases ask for nothing but what client and server make of each other, and through a broker.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { createRunpod } from "@runpod/ai-sdk-provider";
import { APICallError, embed, generateText, type LanguageModel, streamText } from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { MODEL } from "../running/openai-answers.ts";
import { FAULTY, type OpenAiServer, startOpenAiServer } from "../running/openai-server.ts";
import type { Place } from "./openai-cases.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";

const SERVER_KEY = "key-of-the-openai-server";
const TEXT = "to be or not to be: grüße, 你好 🙂 “done”";
const TOLD = { system: "be brief", prompt: TEXT, maxRetries: 0 };
/** Two words of the system's and ten of the user's, and the ten again. */
const CHAT_USAGE = { inputTokens: 12, outputTokens: 10, totalTokens: 22 };
/** The client writes a conversation as one text for models that only complete. */
const COMPLETED = `user:\n${TEXT}\n\nassistant:\n`;
const COMPLETION_USAGE = { inputTokens: 10, outputTokens: 10, totalTokens: 20 };

let server: OpenAiServer;
let broker: RunningBroker;

beforeAll(async () => {
  server = await startOpenAiServer(SERVER_KEY);
  broker = await startBroker({
    "ai-pushed": { dialect: "openai", url: server.url, credential: SERVER_KEY, slots: 4 },
    "ai-pulled": { workers: { slots: 4 } },
  });
});

afterAll(async () => {
  await broker?.stop();
  await server?.stop();
});

function runpod({ baseURL, apiKey }: Place) {
  return createRunpod({ baseURL, apiKey });
}

function compatible({ baseURL, apiKey }: Place, includeUsage = true) {
  return createOpenAICompatible({ name: "waybill", baseURL, apiKey, includeUsage });
}

interface Streamed {
  readonly text: string;
  readonly errors: unknown[];
  readonly usage: unknown;
}

/** Reads a stream to its end, errors and all. */
async function readStream(model: LanguageModel): Promise<Streamed> {
  const errors: unknown[] = [];
  // By default the client prints them.
  const result = streamText({ model, ...TOLD, onError: ({ error }) => void errors.push(error) });
  let text = "";
  let usage: unknown;
  try {
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") text += part.text;
      if (part.type === "finish") usage = part.totalUsage;
    }
  } catch (error) {
    // What the client does with a broken connection, where an event that tells of an error comes as one.
    errors.push(error);
  }
  return { text, errors, usage };
}

async function refusalOf(call: PromiseLike<unknown>): Promise<unknown> {
  return call.then(
    () => new Error("the call was answered"),
    (reason: unknown) => reason,
  );
}

function expectCallError(error: unknown, wanted: { readonly statusCode: number; readonly message: string }): void {
  expect(APICallError.isInstance(error)).toBe(true);
  expect(error).toMatchObject({ statusCode: wanted.statusCode, message: expect.stringContaining(wanted.message) });
}

function answersText(place: () => Place): void {
  it("generates and streams a chat with RunPod's provider, usage included", async () => {
    const model = runpod(place()).chatModel(MODEL);
    const whole = await generateText({ model, ...TOLD });
    expect(whole).toMatchObject({ text: TEXT, finishReason: "stop", usage: CHAT_USAGE });
    expect(await readStream(model)).toMatchObject({ text: TEXT, errors: [], usage: CHAT_USAGE });
  });

  it("generates and streams a completion with RunPod's provider", async () => {
    const model = runpod(place()).completionModel(MODEL);
    const whole = await generateText({ model, prompt: TEXT });
    expect(whole).toMatchObject({ text: COMPLETED, finishReason: "stop", usage: COMPLETION_USAGE });
    const { textStream, usage } = streamText({ model, prompt: TEXT });
    let text = "";
    for await (const delta of textStream) text += delta;
    expect({ text, usage: await usage }).toMatchObject({ text: COMPLETED, usage: COMPLETION_USAGE });
  });

  it("generates and streams a chat with the provider for any server, usage only when asked", async () => {
    const model = compatible(place()).chatModel(MODEL);
    expect(await generateText({ model, ...TOLD })).toMatchObject({ text: TEXT, usage: CHAT_USAGE });
    expect(await readStream(model)).toMatchObject({ text: TEXT, errors: [], usage: CHAT_USAGE });
    const silent = await readStream(compatible(place(), false).chatModel(MODEL));
    expect(silent).toMatchObject({ text: TEXT, errors: [], usage: { inputTokens: undefined } });
  });

  it("embeds a text with the provider for any server", async () => {
    const model = compatible(place()).embeddingModel(MODEL);
    const { embedding, usage } = await embed({ model, value: "to be or not" });
    // The length, the words, and two fixed numbers.
    expect(embedding).toEqual([12, 4, 0.5, -0.25]);
    expect(usage).toEqual({ tokens: 4 });
  });
}

/** Each error as both providers tell it, which read the same shape of error. */
function tellsErrors(place: () => Place): void {
  describe.each([
    ["RunPod's provider", (where: Place, model: string) => runpod(where).chatModel(model)],
    ["the provider for any server", (where: Place, model: string) => compatible(where).chatModel(model)],
  ] as const)("errors told by %s", (_, modelOf) => {
    const whole = (name: string, options = {}) =>
      refusalOf(generateText({ model: modelOf(place(), name), ...TOLD, ...options }));

    it("404 of a model that is not there, streamed and not", async () => {
      const wanted = { statusCode: 404, message: "The model `nobody` does not exist." };
      expectCallError(await whole("nobody"), wanted);
      const streamed = await readStream(modelOf(place(), "nobody"));
      expect(streamed.errors).toHaveLength(1);
      expectCallError(streamed.errors[0], wanted);
    });

    it("400 of a wrong request and 500 of a model that fails", async () => {
      expectCallError(await whole(MODEL, { temperature: -1 }), { statusCode: 400, message: "temperature" });
      const failed = await whole(FAULTY.fails);
      expectCallError(failed, { statusCode: 500, message: "EngineCore encountered an issue." });
    });

    it("401 of a wrong key", async () => {
      const error = await refusalOf(generateText({ model: modelOf({ ...place(), apiKey: "wrong" }, MODEL), ...TOLD }));
      expectCallError(error, { statusCode: 401, message: "" });
    });

    it("a stream that breaks off, after all that had come", async () => {
      const model = modelOf(place(), FAULTY.dies);
      const { text, errors } = await readStream(model);
      expect(text).toBe("to be ");
      expect(errors).not.toEqual([]);
      // Which would be the client's own words, for a stream that ends in silence and for half an event.
      const isGuess = errors[0] instanceof Error && /InvalidResponseData|JSONParse/.test(errors[0].name);
      expect(isGuess).toBe(false);
    });
  });
}

describe("the AI SDK and the server alone", () => {
  const place = () => ({ baseURL: `${server.url}/v1`, apiKey: SERVER_KEY });
  answersText(place);
  tellsErrors(place);
});

describe("the AI SDK and an upstream that is an OpenAI server", () => {
  const place = () => ({ baseURL: `${broker.url}/v2/ai-pushed/openai/v1`, apiKey: broker.key });
  answersText(place);
  tellsErrors(place);
});

describePython("the AI SDK and a RunPod worker that pulls", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  const place = () => ({ baseURL: `${broker.url}/v2/ai-pulled/openai/v1`, apiKey: broker.key });

  beforeAll(() => {
    workers.start(broker, "ai-pulled", { script: `${import.meta.dirname}/worker_openai.py`, jobsAtOnce: 4 });
  });

  answersText(place);
  tellsErrors(place);
});
