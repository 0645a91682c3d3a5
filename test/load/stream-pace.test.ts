// How soon a reader of events has what a handler streams, at a running broker, and that a reader loses nothing by being cut off.
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { seededRandom } from "../chaos/random.ts";
import { callBroker, type RunningBroker, startBroker } from "../running/broker.ts";
import { percentile, shownMs } from "../support/figures.ts";

const CHUNKS = 100;
const CHUNK_SEEN_MAX_MS = 50;
const CUTS = 10;

let broker: RunningBroker;

beforeAll(async () => {
  broker = await startBroker({ events: { workers: { slots: 1 } } });
});

afterAll(async () => {
  await broker?.stop();
});

/** A call of worker `w1`. */
async function asWorker(path: string, body?: string): Promise<Response> {
  const place = broker.workerKeys.events;
  if (place === undefined) throw new Error("the endpoint has no worker key");
  const init = body === undefined ? {} : { method: "POST", body };
  return fetch(`${broker.url}/v2/${place.endpointId}/${path}`, { ...init, headers: { Authorization: place.key } });
}

/** Events of a job as a reader sees them, each with the time of its arrival. */
async function* readEvents(id: string, lastEventId: string | null) {
  const leaving = new AbortController();
  const headers = { Accept: "text/event-stream", ...(lastEventId === null ? {} : { "Last-Event-ID": lastEventId }) };
  const options = { headers, signal: leaving.signal };
  const response = await callBroker(`${broker.url}/v2/events/stream/${id}`, broker.key, options);
  try {
    let text = "";
    const decoder = new TextDecoder();
    for await (const bytes of response.body ?? []) {
      text += decoder.decode(bytes, { stream: true });
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const event = text.slice(0, end + 2);
        text = text.slice(end + 2);
        if (!event.startsWith(":")) yield { event, atMs: performance.now() };
      }
    }
  } finally {
    leaving.abort();
  }
}

/** All events of a job as a reader gets them that is cut off again and again, and goes on each time with the last id. */
async function readInPieces(id: string, random: () => number): Promise<string> {
  let text = "";
  let lastId: string | null = null;
  while (!text.includes("event: status")) {
    // At least one each time, so that it ends.
    let left = 1 + Math.floor(random() * 30);
    for await (const { event } of readEvents(id, lastId)) {
      text += event;
      lastId = /^id: (.*)$/m.exec(event)?.[1] ?? lastId;
      left -= 1;
      if (left === 0) break;
    }
  }
  return text;
}

it("shows a chunk to a reader of events within 50 ms, and a reader that was cut off the same bytes", async () => {
  const submitted = await broker.call("/v2/events/run", '{"input":{}}');
  const { id } = z.object({ id: z.string() }).parse(await submitted.json());
  expect((await asWorker("job-take/w1?gpu=SIM&job_in_progress=0")).status).toBe(200);
  const arrivedMs: number[] = [];
  let whole = "";
  const reading = (async () => {
    for await (const { event, atMs } of readEvents(id, null)) {
      whole += event;
      arrivedMs.push(atMs);
    }
  })();
  const seed = Date.now() % 1_000_000;
  const random = seededRandom(seed);
  const cutWhileItRuns = readInPieces(id, random);
  const seenMs: number[] = [];
  for (let n = 0; n < CHUNKS; n += 1) {
    const postedMs = performance.now();
    const body = JSON.stringify({ output: { n, text: "é\n".repeat(n) } });
    const posted = await asWorker(`job-stream/w1/${id}?gpu=SIM&isStream=false`, body);
    expect(await posted.json()).toEqual({ accepted: true });
    await expect.poll(() => arrivedMs.length, { interval: 1, timeout: 5_000 }).toBe(n + 1);
    seenMs.push((arrivedMs[n] ?? Number.NaN) - postedMs);
  }
  await asWorker(`job-done/w1/${id}?gpu=SIM&isStream=true`, '{"output":[]}');
  await reading;
  console.info(`from the post of a chunk to its reader: ${shownMs(seenMs)}`);
  expect(percentile(seenMs, 0.5)).toBeLessThanOrEqual(CHUNK_SEEN_MAX_MS);
  expect(await cutWhileItRuns, `with the seed ${seed}`).toBe(whole);
  for (let cut = 0; cut < CUTS; cut += 1) {
    expect(await readInPieces(id, random), `with the seed ${seed}`).toBe(whole);
  }
});
