// npm `openai`, unmodified, against an OpenAI server: without a broker, which shows that the cases ask for nothing but what
// client and server make of each other, and through a broker, for each kind of worker.
import { NotFoundError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { MODEL } from "../running/openai-answers.ts";
import { FAULTY, type OpenAiServer, startOpenAiServer } from "../running/openai-server.ts";
import {
  answersMedia,
  answersText,
  clientOf,
  hearsOfLeaving,
  type Place,
  refusalOf,
  refusesWrongKey,
  tellsErrors,
} from "./openai-cases.ts";
import { describePython, PythonWorkers } from "./python-worker.ts";
import { until, type WorkerProcess } from "./worker-processes.ts";

const SERVER_KEY = "key-of-the-openai-server";
const LEAVE_HEARD_MAX_MS = 1_000;
/** RunPod's workers hear of a cancel by a poll of their own. */
const LEAVE_HEARD_BY_WORKER_MAX_MS = 2_000;

let server: OpenAiServer;
let broker: RunningBroker;

beforeAll(async () => {
  server = await startOpenAiServer(SERVER_KEY);
  const upstream = { credential: SERVER_KEY, slots: 4 };
  broker = await startBroker({
    "openai-pushed": { ...upstream, dialect: "openai", url: server.url },
    // RunPod's own address of an endpoint; the server takes any path before /v1.
    "openai-hosted": { ...upstream, dialect: "runpod", url: `${server.url}/v2/hosted` },
    "openai-pulled": { workers: { slots: 4 } },
  });
});

afterAll(async () => {
  await broker?.stop();
  await server?.stop();
});

function placeOf(slug: string): Place {
  return { baseURL: `${broker.url}/v2/${slug}/openai/v1`, apiKey: broker.key };
}

/** When the last stream without end lost its reader. */
function serverLeftAtMs(): Promise<number> {
  const request = server.seen.findLast(({ body }) => body.includes(`"${FAULTY.endless}"`));
  return until("the server is hung up on", () => request?.leftAtMs ?? undefined);
}

/** The request that the server saw last, read as JSON. */
function lastSeen(): { readonly key: string | undefined; readonly body: unknown } {
  const { headers, body } = server.seen.at(-1) ?? { headers: {}, body: Buffer.from("null") };
  return { key: headers.authorization, body: JSON.parse(body.toString("utf8")) };
}

describe("npm openai and the server alone", () => {
  const place = () => ({ baseURL: `${server.url}/v1`, apiKey: SERVER_KEY });
  answersText(place);
  answersMedia(place);
  tellsErrors(place);
  refusesWrongKey(place);
  hearsOfLeaving(place, serverLeftAtMs, LEAVE_HEARD_MAX_MS);
});

describe("npm openai and an upstream that is an OpenAI server", () => {
  const place = () => placeOf("openai-pushed");
  answersText(place);
  answersMedia(place);
  tellsErrors(place);
  refusesWrongKey(place);
  hearsOfLeaving(place, serverLeftAtMs, LEAVE_HEARD_MAX_MS);

  it("hands over the whole request with the upstream's own key", async () => {
    const request = { model: MODEL, messages: [{ role: "user", content: "à 1" }], top_k: 20, seed: 7 } as const;
    await clientOf(place()).chat.completions.create({ ...request, messages: [...request.messages] });
    expect(lastSeen()).toEqual({ key: `Bearer ${SERVER_KEY}`, body: request });
  });

  it("refuses an endpoint that is not there with 404, in OpenAI's shape", async () => {
    const error = await refusalOf(clientOf(placeOf("no-such-endpoint")).models.list());
    expect(error).toBeInstanceOf(NotFoundError);
    expect(error.error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
  });

  it("refuses a wrong key in OpenAI's shape", async () => {
    const error = await refusalOf(clientOf({ ...place(), apiKey: "wrong" }).models.list());
    expect(error.status).toBe(401);
    expect(error.error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
  });
});

describe("npm openai and a hosted RunPod endpoint as the upstream", () => {
  const place = () => placeOf("openai-hosted");
  answersText(place);
  tellsErrors(place);
  refusesWrongKey(place);
  hearsOfLeaving(place, serverLeftAtMs, LEAVE_HEARD_MAX_MS);
});

describePython("npm openai and a RunPod worker that pulls", (interpreters) => {
  const workers = new PythonWorkers(interpreters);
  const place = () => placeOf("openai-pulled");
  let worker: WorkerProcess;

  beforeAll(() => {
    const script = `${import.meta.dirname}/worker_openai.py`;
    worker = workers.start(broker, "openai-pulled", { script, jobsAtOnce: 4 });
  });

  answersText(place);
  tellsErrors(place);
  refusesWrongKey(place);
  // By its log, because the handler itself is not told: the SDK ends the job and leaves its generator where it was.
  const stoppedAtMs = () =>
    until("the worker stops the job", () => worker.log().includes("Job stopped.") && Date.now());
  hearsOfLeaving(place, stoppedAtMs, LEAVE_HEARD_BY_WORKER_MAX_MS);
});
