// What npm `openai` must see, whoever stands between it and the model. Each function adds its cases to the suite it is called in.
import OpenAI, { APIError, AuthenticationError, BadRequestError, InternalServerError, NotFoundError } from "openai";
import { expect, it } from "vitest";
import {
  chatBody,
  chatEvents,
  completionBody,
  completionEvents,
  embeddingsBody,
  MODEL,
  MODELS_BODY,
  type OpenAiRequest,
  PICTURE_BASE64,
  responseBody,
  responseEvents,
  SPEECH,
} from "../running/openai-answers.ts";
import { FAULTY } from "../running/openai-server.ts";

/** Where a client is sent. */
export interface Place {
  readonly baseURL: string;
  readonly apiKey: string;
}

/** The words of one language would not show a text that was cut inside a character. */
const TEXT = "to be or not to be: grüße, 你好 🙂 “done”";
const MESSAGES = [
  { role: "system", content: "be brief" } as const,
  { role: "user", content: TEXT } as const,
] satisfies OpenAI.ChatCompletionMessageParam[];
const CHAT = { model: MODEL, messages: MESSAGES };
/** Until a client of these tests gives up: nothing here takes a fifth of it. */
const HANG_MS = 30_000;

/** A client that does not try again, so that each error is seen. */
export function clientOf({ baseURL, apiKey }: Place): OpenAI {
  return new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: HANG_MS });
}

async function collect<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const one of stream) all.push(one);
  return all;
}

/** What the `data:` lines of events say. */
function dataOf(events: readonly string[]): unknown[] {
  const texts = events.map((event) => event.slice(event.indexOf("data: ") + "data: ".length).trim());
  return texts.filter((text) => text !== "[DONE]").map((text) => JSON.parse(text));
}

/** What a call was refused with. A call that is not refused fails the test. */
export async function refusalOf(call: Promise<unknown>): Promise<APIError> {
  const error: unknown = await call.then(
    () => new Error("the call was answered"),
    (reason: unknown) => reason,
  );
  if (error instanceof APIError) return error;
  throw error;
}

export function answersText(place: () => Place): void {
  it("lists the models", async () => {
    expect((await clientOf(place()).models.list()).data).toEqual(MODELS_BODY.data);
  });

  it("chats", async () => {
    expect(await clientOf(place()).chat.completions.create(CHAT)).toEqual(chatBody(CHAT));
  });

  it("chats in a stream, without a word of usage unless asked", async () => {
    const chunks = await collect(await clientOf(place()).chat.completions.create({ ...CHAT, stream: true }));
    expect(chunks).toEqual(dataOf(chatEvents(CHAT)));
    expect(chunks.filter((chunk) => "usage" in chunk || chunk.choices.length !== 1)).toEqual([]);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("")).toBe(TEXT);
  });

  it("tells the usage of a stream in its last chunk when asked", async () => {
    const asked = { ...CHAT, stream: true, stream_options: { include_usage: true } } as const;
    const chunks = await collect(await clientOf(place()).chat.completions.create(asked));
    expect(chunks).toEqual(dataOf(chatEvents(asked)));
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 12, completion_tokens: 10 } });
    expect(chunks.slice(0, -1).filter((chunk) => chunk.usage !== null)).toEqual([]);
  });

  it("leaves a usage that is declined out of a stream", async () => {
    const declined = { ...CHAT, stream: true, stream_options: { include_usage: false } } as const;
    const chunks = await collect(await clientOf(place()).chat.completions.create(declined));
    expect(chunks).toEqual(dataOf(chatEvents(CHAT)));
  });

  it("completes a text, in a stream and not", async () => {
    const request = { model: MODEL, prompt: TEXT } as const;
    const { completions } = clientOf(place());
    expect(await completions.create(request)).toEqual(completionBody(request));
    const chunks = await collect(await completions.create({ ...request, stream: true }));
    expect(chunks).toEqual(dataOf(completionEvents(request)));
    expect(chunks.filter((chunk) => "usage" in chunk)).toEqual([]);
  });

  it("responds, in a stream of events and not", async () => {
    const request = { model: MODEL, input: TEXT } as const;
    const { responses } = clientOf(place());
    expect(await responses.create(request)).toMatchObject({ ...responseBody(request), output_text: TEXT });
    const events = await collect(await responses.create({ ...request, stream: true }));
    expect(events).toEqual(dataOf(responseEvents(request)));
  });

  it("embeds one text as the base64 that the client asks for, and two as numbers", async () => {
    const request: OpenAiRequest = { model: MODEL, input: "to be or not" };
    const wanted = embeddingsBody(request);
    const { embeddings } = clientOf(place());
    expect(await embeddings.create({ model: MODEL, input: "to be or not" })).toEqual(wanted);
    const both = { model: MODEL, input: ["to be", "or not"] };
    const asNumbers = { ...both, encoding_format: "float" } as const;
    expect(await embeddings.create(asNumbers)).toEqual(embeddingsBody(both));
  });

  it("waits for a slow answer", async () => {
    const slow = { ...CHAT, model: FAULTY.slow };
    expect(await clientOf(place()).chat.completions.create(slow)).toEqual(chatBody(CHAT));
  });
}

export function tellsErrors(place: () => Place): void {
  it.each([false, true])("tells 404 of a model that is not there (streamed: %s)", async (stream) => {
    const error = await refusalOf(clientOf(place()).chat.completions.create({ ...CHAT, model: "nobody", stream }));
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error).toMatchObject({ status: 404, type: "NotFoundError", param: "model" });
    expect(error.message).toBe("404 The model `nobody` does not exist.");
  });

  it.each([false, true])("tells 400 of a request that is wrong (streamed: %s)", async (stream) => {
    const error = await refusalOf(clientOf(place()).chat.completions.create({ ...CHAT, temperature: -1, stream }));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error).toMatchObject({ status: 400, type: "BadRequestError", param: "temperature" });
    expect(error.message).toContain("400 temperature: ");
  });

  it.each([false, true])("tells 500 of a model that fails (streamed: %s)", async (stream) => {
    const failing = { ...CHAT, model: FAULTY.fails, stream };
    const error = await refusalOf(clientOf(place()).chat.completions.create(failing));
    expect(error).toBeInstanceOf(InternalServerError);
    expect(error.status).toBe(500);
    expect(error.message).toContain("EngineCore encountered an issue.");
  });

  it("tells of a stream that breaks off, after all that had come", async () => {
    const stream = await clientOf(place()).chat.completions.create({ ...CHAT, model: FAULTY.dies, stream: true });
    let text = "";
    const reading = (async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    })();
    const error = await reading.catch((reason: unknown) => reason);
    // Without an error the client would take what it has for the whole answer, and with half an event it fails to read that.
    expect(error).toBeInstanceOf(Error);
    expect(error).not.toBeInstanceOf(SyntaxError);
    // RunPod's workers tell theirs, with paths of their machine.
    expect(String(error)).not.toMatch(/traceback/i);
    expect(text).toBe("to be ");
  });
}

export function refusesWrongKey(place: () => Place): void {
  it("refuses a wrong key with 401", async () => {
    const stranger = clientOf({ ...place(), apiKey: "wrong" });
    const error = await refusalOf(stranger.chat.completions.create(CHAT));
    expect(error).toBeInstanceOf(AuthenticationError);
    expect(error.status).toBe(401);
  });
}

export function answersMedia(place: () => Place): void {
  it("speaks", async () => {
    const request = { model: MODEL, voice: "alloy", input: TEXT } as const;
    const spoken = await clientOf(place()).audio.speech.create(request);
    expect(spoken.headers.get("content-type")).toBe("audio/mpeg");
    expect(Buffer.from(await spoken.arrayBuffer()).equals(SPEECH)).toBe(true);
  });

  it("writes down what is spoken", async () => {
    const file = new File([new Uint8Array(SPEECH)], "word.mp3", { type: "audio/mpeg" });
    const heard = await clientOf(place()).audio.transcriptions.create({ model: MODEL, file });
    expect(heard.text).toBe(`word.mp3 has ${SPEECH.length} bytes`);
  });

  it("paints", async () => {
    const painted = await clientOf(place()).images.generate({ model: MODEL, prompt: TEXT });
    expect(painted.data).toEqual([{ b64_json: PICTURE_BASE64 }]);
  });
}

/** Leaves a stream without end after some chunks. `leftAtMs` waits until its maker knows, and says since when. */
export function hearsOfLeaving(place: () => Place, leftAtMs: () => Promise<number>, maxMs: number): void {
  it(`hears within ${maxMs} ms of a client that leaves a stream`, async () => {
    const aborter = new AbortController();
    const endless = { ...CHAT, model: FAULTY.endless, stream: true } as const;
    const stream = await clientOf(place()).chat.completions.create(endless, { signal: aborter.signal });
    let chunks = 0;
    let abortedAtMs = 0;
    for await (const _ of stream) {
      chunks += 1;
      if (chunks !== 5) continue;
      abortedAtMs = Date.now();
      aborter.abort();
    }
    expect((await leftAtMs()) - abortedAtMs).toBeLessThan(maxMs);
  });
}
