// The examples in TypeScript, each on an endpoint of its own: their models, unmodified clients, and what they refuse.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import OpenAI from "openai";
import runpodSdk from "runpod-sdk";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type LocalWorker, SdkWorkers } from "./sdk-workers.ts";

const EXAMPLES = join(PROJECT_FOLDER, "examples");
const TEXTS = ["The GPU is out of memory", "CUDA ran out of VRAM", "I like to eat oranges"];
const outputSchema = z.object({ output: z.object({ embeddings: z.array(z.array(z.number())), tokens: z.int() }) });

let ocr: LocalWorker;
let embeddings: LocalWorker;
let text: LocalWorker;

describe("the examples in TypeScript", () => {
  const workers = new SdkWorkers();

  beforeAll(async () => {
    const serve = (name: string) => workers.serve({ script: join(EXAMPLES, name, "worker.ts") });
    [ocr, embeddings, text] = await Promise.all([serve("ocr-worker"), serve("embeddings"), serve("text-stream")]);
  });

  const openAi = ({ url }: LocalWorker) => new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: "any", maxRetries: 0 });

  async function runsync({ call }: LocalWorker, input: object): Promise<unknown> {
    return (await call("/runsync", JSON.stringify({ input }))).json();
  }

  describe("OCR", () => {
    it("reads a picture", async () => {
      const image = readFileSync(join(EXAMPLES, "ocr-worker/picture.png")).toString("base64");
      expect(await runsync(ocr, { image })).toMatchObject({
        status: "COMPLETED",
        output: { text: "WAYBILL 2026\nForty-two crates of oranges", confidence: expect.any(Number) },
      });
    });

    it.each([
      ["no base64 of a picture", "no picture", "input.image is not a PNG in base64"],
      ["an empty text", "", "input.image must be a PNG in base64"],
      [
        "a PNG without its end",
        "iVBORw0KGgoAAAA=",
        "the picture could not be read: Error: Error attempting to read image.",
      ],
    ])("fails the job for %s with one sentence, and goes on", async (_, image, error) => {
      expect(await runsync(ocr, { image })).toMatchObject({ status: "FAILED", error });
    });
  });

  describe("embeddings", () => {
    it("give npm openai vectors by which texts of one meaning are found, as base64 and as numbers", async () => {
      const { data, usage, model } = await openAi(embeddings).embeddings.create({ model: "any", input: TEXTS });
      const [first = [], second = [], third = []] = data.map(({ embedding }) => embedding);
      expect([first.length, model]).toEqual([512, "universal-sentence-encoder-lite"]);
      expect(likeness(first, second)).toBeGreaterThan(0.6);
      expect(likeness(first, third)).toBeLessThan(0.3);
      expect(usage.total_tokens).toBeGreaterThan(10);
      const asked = { model: "any", input: TEXTS[0] ?? "", encoding_format: "float" } as const;
      const [plain] = (await openAi(embeddings).embeddings.create(asked)).data;
      expect(likeness(plain?.embedding ?? [], first)).toBeCloseTo(1, 5);
    });

    it("give a job of RunPod's API the same vectors", async () => {
      const { output } = outputSchema.parse(await runsync(embeddings, { texts: TEXTS.slice(0, 2) }));
      const [first = [], second = []] = output.embeddings;
      expect(likeness(first, second)).toBeGreaterThan(0.6);
    });

    it("refuse what is no text or too much, in the form of each API", async () => {
      const refused = (input: string[]) => openAi(embeddings).embeddings.create({ model: "any", input });
      const error = { status: 400, message: "400 input must be 1 to 32 texts, each of 1 to 1000 characters" };
      await expect(refused([])).rejects.toMatchObject(error);
      await expect(refused(["a".repeat(1_001)])).rejects.toMatchObject(error);
      await expect(openAi(embeddings).completions.create({ model: "any", prompt: "" })).rejects.toMatchObject({
        status: 404,
        message: "404 there is no /v1/completions here",
      });
      const failed = (problem: string) => ({ status: "FAILED", error: expect.stringContaining(problem) });
      expect(await runsync(embeddings, {})).toMatchObject(failed("input.texts is missing: it must be 1 to 32 texts"));
      const many = Array.from({ length: 33 }, () => "a");
      expect(await runsync(embeddings, { texts: many })).toMatchObject(
        failed("input.texts: does not meet the constraints"),
      );
    });
  });

  describe("a stream of text", () => {
    const wanted = { prompt: "The captain", max_tokens: 20, seed: 7 };
    const messages = [{ role: "user", content: wanted.prompt }] as const;
    const asked = { model: "any", max_tokens: wanted.max_tokens, seed: wanted.seed };

    /** The text of a job of RunPod's API. */
    async function textOfJob(): Promise<string> {
      const answer = z.object({ output: z.array(z.string()) }).parse(await runsync(text, wanted));
      expect(answer.output).toHaveLength(20);
      return answer.output.join("");
    }

    it("comes chunk by chunk, and with a seed it is the same again", async () => {
      const endpoint = runpodSdk("any", { baseUrl: `${text.url}/v2` }).endpoint("any-name");
      const { id } = (await endpoint?.run({ input: wanted })) ?? { id: "" };
      const chunks: string[] = [];
      for await (const { output } of endpoint?.stream(id) ?? []) chunks.push(output);
      expect(chunks).toHaveLength(20);
      expect(chunks.join("")).toBe(await textOfJob());
    });

    it("is a chat and a completion of npm openai, streamed with its usage or in one piece", async () => {
      const whole = await textOfJob();
      const { chat, completions } = openAi(text);
      const stream = { stream: true, stream_options: { include_usage: true } } as const;
      const usage = { prompt_tokens: 2, completion_tokens: 20, total_tokens: 22 };

      const chatChunks = await gather(await chat.completions.create({ ...asked, ...stream, messages: [...messages] }));
      expect(chatChunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(whole);
      expect(chatChunks.at(-2)?.choices[0]?.finish_reason).toBe("length");
      expect(chatChunks.at(-1)?.usage).toEqual(usage);
      const chunks = await gather(await completions.create({ ...asked, ...stream, prompt: wanted.prompt }));
      expect(chunks.map(({ choices }) => choices[0]?.text ?? "").join("")).toBe(whole);

      const message = await chat.completions.create({ ...asked, messages: [...messages] });
      expect(message).toMatchObject({ choices: [{ message: { content: whole }, finish_reason: "length" }], usage });
      const completion = await completions.create({ ...asked, prompt: wanted.prompt });
      expect(completion).toMatchObject({ choices: [{ text: whole }], usage });
    });

    it("refuses what it cannot do, in the form of each API", async () => {
      const none = { ...asked, messages: [], max_tokens: 0 };
      await expect(openAi(text).chat.completions.create(none)).rejects.toMatchObject({
        status: 400,
        message: expect.stringMatching(/messages: .+; max_tokens: /),
      });
      expect(await runsync(text, { max_tokens: "many" })).toMatchObject({
        error: expect.stringContaining("max_tokens"),
      });
    });
  });
});

async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const gathered: T[] = [];
  for await (const item of items) gathered.push(item);
  return gathered;
}

/** The cosine of two vectors of length 1. */
function likeness(one: readonly number[], other: readonly number[]): number {
  return one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0);
}
