// Pictures, speech, transcripts and videos by `ai` with RunPod's provider, both unmodified. These go over plain jobs: /run or
// /runsync, then /status, then the file that the output names.
import { createRunpod } from "@runpod/ai-sdk-provider";
import {
  APICallError,
  generateImage,
  experimental_generateSpeech as generateSpeech,
  experimental_generateVideo as generateVideo,
  experimental_transcribe as transcribe,
} from "ai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WAIT_MIN_MS } from "../../src/core/limits.ts";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { FILES, type MediaWorker, startMediaWorker } from "../running/media-worker.ts";

const KINDS = ["image", "image-result", "speech", "transcription", "video", "video-result", "video-text"];
/** The provider polls each few seconds unless told otherwise. */
const POLLING = { runpod: { pollIntervalMillis: 200, maxPollAttempts: 100 } };
const NO_ENDPOINT = "no such endpoint for this key: check its id or slug";
const BAD_KEY = "the API key is missing or not valid";

let worker: MediaWorker;
let broker: RunningBroker;

beforeAll(async () => {
  worker = await startMediaWorker();
  const upstreamOf = (kind: string) =>
    ({ url: `${worker.url}/${kind}`, dialect: "http", slots: 2, credential: null }) as const;
  broker = await startBroker(Object.fromEntries(KINDS.map((kind) => [kind, upstreamOf(kind)])));
});

afterAll(async () => {
  await broker?.stop();
  await worker?.stop();
});

/** A full address is a model's name, which the provider takes for every kind but chat. */
function endpointUrl(slug: string): string {
  return `${broker.url}/v2/${slug}`;
}

function provider(apiKey = broker.key) {
  return createRunpod({ apiKey });
}

/** What a call was refused with. A call that is not refused fails the test. */
async function refusalOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => new Error("the call was answered"),
    (reason: unknown) => reason,
  );
}

function expectCallError(error: unknown, statusCode: number, message: string): void {
  expect(APICallError.isInstance(error)).toBe(true);
  expect(error).toMatchObject({ statusCode, message });
}

describe("generateImage", () => {
  it.each(["image", "image-result"])("waits in a runsync and fetches the picture (output of %s)", async (slug) => {
    const made = await generateImage({ model: provider().image(endpointUrl(slug)), prompt: "a cat" });
    expect(Buffer.from(made.image.uint8Array).equals(FILES["picture.png"])).toBe(true);
    expect(made.image.mediaType).toBe("image/png");
    expect(made.providerMetadata).toMatchObject({
      runpod: { images: [{ url: `${worker.url}/picture.png`, cost: 0.02 }] },
    });
    expect(worker.lastInput()).toMatchObject({ prompt: "a cat", size: "1328*1328", enable_safety_checker: true });
  });

  /** As from a service whose runsync lets go early: the client's own option to see its requests on their way. */
  const impatient = () =>
    createRunpod({
      apiKey: broker.key,
      fetch: (url, init) => fetch(`${url}`.replace(/\/runsync$/, `/runsync?wait=${WAIT_MIN_MS}`), init),
    });

  it("polls the status of a job that outlives the wait", async () => {
    const model = impatient().image(endpointUrl("image"));
    const made = await generateImage({ model, prompt: "a cat, slowly", providerOptions: POLLING });
    expect(Buffer.from(made.image.uint8Array).equals(FILES["picture.png"])).toBe(true);
    // Only a polled picture comes with the id of its job.
    expect(made.providerMetadata).toMatchObject({
      runpod: { images: [{ jobId: expect.stringMatching(/^sync-[0-9a-f-]{36}-u1$/) }] },
    });
  });

  it("says why a job failed, in the runsync and while it polls", async () => {
    const image = endpointUrl("image");
    const options = { maxRetries: 0, providerOptions: POLLING };
    const calls = [
      generateImage({ model: provider().image(image), prompt: "fail", ...options }),
      generateImage({ model: impatient().image(image), prompt: "fail slowly", ...options }),
    ];
    for (const call of calls) await expect(call).rejects.toThrow(/^Image generation failed: .*CUDA out of memory/);
  });

  it("tells a wrong key and an endpoint that is not there", async () => {
    const stranger = provider("wrong").image(endpointUrl("image"));
    expectCallError(await refusalOf(generateImage({ model: stranger, prompt: "a cat" })), 401, BAD_KEY);
    const nowhere = provider().image(endpointUrl("no-such-endpoint"));
    expectCallError(await refusalOf(generateImage({ model: nowhere, prompt: "a cat" })), 404, NO_ENDPOINT);
  });
});

describe("generateSpeech", () => {
  it("waits in a runsync and fetches the sound", async () => {
    const model = provider().speech(endpointUrl("speech"));
    const spoken = await generateSpeech({ model, text: "to be\nor not", voice: "lucy" });
    expect(Buffer.from(spoken.audio.uint8Array).equals(FILES["word.mp3"])).toBe(true);
    expect(spoken.providerMetadata).toEqual({ runpod: { audioUrl: `${worker.url}/word.mp3`, cost: 0.01 } });
    expect(worker.lastInput()).toEqual({ prompt: "to be or not", voice: "lucy" });
  });

  it("says why a job failed, and tells a wrong key and an endpoint that is not there", async () => {
    const speak = (model: ReturnType<ReturnType<typeof provider>["speech"]>, text: string) =>
      generateSpeech({ model, text, maxRetries: 0 });
    const failing = speak(provider().speech(endpointUrl("speech")), "fail");
    await expect(failing).rejects.toThrow(/^Speech generation failed: .*CUDA out of memory/);
    const stranger = speak(provider("wrong").speech(endpointUrl("speech")), "a word");
    await expect(stranger).rejects.toThrow("Runpod speech request failed: unauthorized");
    const nowhere = speak(provider().speech(endpointUrl("no-such-endpoint")), "a word");
    await expect(nowhere).rejects.toThrow("Runpod speech request failed: not found");
  });
});

describe("transcribe", () => {
  it("submits a job with the sound in it and polls it", async () => {
    const model = provider().transcription(endpointUrl("transcription"));
    const heard = await transcribe({ model, audio: FILES["word.mp3"], providerOptions: POLLING });
    expect(heard.text).toBe("to be or not to be");
    expect(heard.segments).toEqual([
      { text: "to be", startSecond: 0, endSecond: 1.5 },
      { text: "or not to be", startSecond: 1.5, endSecond: 4 },
    ]);
    expect(heard).toMatchObject({ language: "en", durationInSeconds: 4 });
    expect(heard.providerMetadata).toMatchObject({
      runpod: { jobId: expect.stringMatching(/^[0-9a-f-]{36}-u1$/) },
    });
    expect(worker.lastInput()).toEqual({ audio_base64: FILES["word.mp3"].toString("base64") });
  });

  it("says why a job failed, and tells a wrong key and an endpoint that is not there", async () => {
    const hear = (apiKey: string, slug: string, prompt?: string) =>
      transcribe({
        model: provider(apiKey).transcription(endpointUrl(slug)),
        audio: FILES["word.mp3"],
        maxRetries: 0,
        providerOptions: { runpod: { ...POLLING.runpod, ...(prompt !== undefined && { prompt }) } },
      });
    const failing = hear(broker.key, "transcription", "fail");
    await expect(failing).rejects.toThrow(/^Transcription failed: .*CUDA out of memory/);
    expectCallError(await refusalOf(hear("wrong", "transcription")), 401, BAD_KEY);
    expectCallError(await refusalOf(hear(broker.key, "no-such-endpoint")), 404, NO_ENDPOINT);
  });
});

describe("generateVideo", () => {
  /** The client's own download refuses addresses of this machine. */
  async function download({ url }: { readonly url: URL }) {
    return { data: new Uint8Array(await (await fetch(url)).arrayBuffer()), mediaType: undefined };
  }

  it.each(["video", "video-result", "video-text"])(
    "submits a job, polls it and fetches the film (%s)",
    async (slug) => {
      const model = provider().video(endpointUrl(slug));
      const asked = { prompt: "a cat", duration: 5, resolution: "1280x720" } as const;
      const made = await generateVideo({ model, ...asked, providerOptions: POLLING, download });
      expect(Buffer.from(made.video.uint8Array).equals(FILES["film.mp4"])).toBe(true);
      expect(made.video.mediaType).toBe("video/mp4");
      expect(made.providerMetadata).toMatchObject({ runpod: { jobId: expect.stringMatching(/^[0-9a-f-]{36}-u1$/) } });
      expect(worker.lastInput()).toEqual({ prompt: "a cat", duration: 5, size: "1280*720" });
    },
  );

  it("says why a job failed, and tells a wrong key and an endpoint that is not there", async () => {
    const make = (apiKey: string, slug: string, prompt: string) =>
      generateVideo({
        model: provider(apiKey).video(endpointUrl(slug)),
        prompt,
        maxRetries: 0,
        providerOptions: POLLING,
        download,
      });
    await expect(make(broker.key, "video", "fail")).rejects.toThrow(/^Video generation failed: .*CUDA out of memory/);
    expectCallError(await refusalOf(make("wrong", "video", "a cat")), 401, BAD_KEY);
    expectCallError(await refusalOf(make(broker.key, "no-such-endpoint", "a cat")), 404, NO_ENDPOINT);
  });
});
