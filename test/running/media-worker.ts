// A worker of the dialect `http` for tests that makes pictures, speech, transcripts and videos as RunPod's public endpoints
// do: its outputs name files, and the files are fetched from it.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { PICTURE_BASE64 } from "./openai-answers.ts";

/** Enough for a client that polls to find the job running. */
const WORK_MS = 700;
/** Beyond the shortest wait of a runsync. */
const SLOW_WORK_MS = 2_500;

/** With the first bytes by which a client knows what they are. */
export const FILES = {
  "picture.png": Buffer.from(PICTURE_BASE64, "base64"),
  "word.mp3": Buffer.concat([Buffer.from("ID3"), Buffer.alloc(1_000, 0xf5)]),
  "film.mp4": Buffer.concat([Buffer.from([0, 0, 0, 0x18]), Buffer.from("ftypmp42"), Buffer.alloc(2_000, 0x9c)]),
} as const;

const TRANSCRIPT = {
  text: "to be or not to be",
  segments: [
    { text: "to be", start: 0, end: 1.5 },
    { text: "or not to be", start: 1.5, end: 4 },
  ],
  language: "en",
  duration: 4,
};

const inputSchema = z.looseObject({
  prompt: z.string().optional(),
  /** What a transcription has instead. */
  initial_prompt: z.string().optional(),
});
type MediaInput = z.infer<typeof inputSchema>;
const jobSchema = z.looseObject({ input: inputSchema });

export interface MediaWorker {
  /** Behind it stands `/` and a kind of output, a key of `OUTPUTS`. */
  readonly url: string;
  /** The input of the newest job. A prompt with `fail` fails, one with `slowly` takes its time. */
  lastInput(): MediaInput | undefined;
  stop(): Promise<void>;
}

/** By the last part of the address, as each of RunPod's endpoints names its file. */
const OUTPUTS: Readonly<Record<string, (files: string) => unknown>> = {
  image: (files) => ({ image_url: `${files}/picture.png`, cost: 0.02 }),
  "image-result": (files) => ({ result: `${files}/picture.png`, cost: 0.02 }),
  speech: (files) => ({ audio_url: `${files}/word.mp3`, cost: 0.01 }),
  transcription: () => TRANSCRIPT,
  video: (files) => ({ video_url: `${files}/film.mp4`, cost: 0.3 }),
  "video-result": (files) => ({ result: `${files}/film.mp4` }),
  "video-text": (files) => `${files}/film.mp4`,
};

/** Listens on a free port. */
export async function startMediaWorker(): Promise<MediaWorker> {
  let newest: MediaInput | undefined;
  const server = createServer((request, response) => {
    const answered = request.method === "GET" ? sendFile(request, response) : work(request, response, see);
    answered.catch((error) => response.destroy(error));
  });
  const see = (input: MediaInput): void => {
    newest = input;
  };
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the media worker got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    lastInput: () => newest,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function work(
  request: IncomingMessage,
  response: ServerResponse,
  see: (input: MediaInput) => void,
): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const { input } = jobSchema.parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  see(input);
  const prompt = input.prompt ?? input.initial_prompt ?? "";
  await sleep(prompt.includes("slowly") ? SLOW_WORK_MS : WORK_MS);
  const output = OUTPUTS[lastPart(request)]?.(`http://${request.headers.host}`);
  const failed = output === undefined || prompt.includes("fail");
  const body = JSON.stringify(failed ? { error: "CUDA out of memory" } : output);
  response.writeHead(failed ? 422 : 200, { "Content-Type": "application/json" }).end(body);
}

/** A caller that shows a key is refused: these stand for files in a store of somebody else's. */
async function sendFile(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [, file] = Object.entries(FILES).find(([name]) => name === lastPart(request)) ?? [];
  const status = request.headers.authorization !== undefined ? 403 : file === undefined ? 404 : 200;
  response.writeHead(status, { "Content-Type": "application/octet-stream" }).end(status === 200 ? file : "");
}

function lastPart(request: IncomingMessage): string {
  return request.url?.split("/").at(-1) ?? "";
}
