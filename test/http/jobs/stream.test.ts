// Streams over HTTP: what a pulling worker posts, what RunPod's drain gives, and what event readers see.
import { exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { CHUNK_MAX_BYTES, IDLE_GRACE_MS, RESULT_MAX_BYTES } from "../../../src/core/limits.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const pageSchema = z.object({
  status: z.string(),
  stream: z.array(z.object({ output: z.unknown() })),
});
const statusSchema = z.object({ status: z.string(), output: z.unknown().optional(), error: z.string().optional() });

/** One endpoint with one pulling worker and a client. */
async function scene() {
  const tenant = await makeTenant({ workerKeys: [{ slots: 10 }], maxAttempts: 3 });
  const [workerKey] = tenant.workerKeys;
  if (workerKey === undefined) throw new Error("the tenant has no worker key");
  const base = `https://waybill.test/v2/${tenant.endpointId}`;
  const asWorker = (path: string, body: string | null = null, workerId = "w1") =>
    exports.default.fetch(
      new Request(`${base}/${path.replace("WORKER", workerId)}`, {
        method: body === null ? "GET" : "POST",
        headers: { authorization: workerKey, "content-type": "application/x-www-form-urlencoded" },
        body,
      }),
    );
  const asClient = (path: string, init: RequestInit = {}) => client(tenant, path, init);
  return { asWorker, asClient };
}

function client(tenant: TestTenant, path: string, init: RequestInit = {}) {
  const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json", ...init.headers };
  return exports.default.fetch(
    new Request(`https://waybill.test/v2/${tenant.endpointId}/${path}`, { ...init, headers }),
  );
}

/** A job that worker `w1` holds, and what to post for it. */
async function runningJob() {
  const { asWorker, asClient } = await scene();
  const submitted = await asClient("run", { method: "POST", body: '{"input":{}}' });
  const { id } = z.object({ id: z.string() }).parse(await submitted.json());
  const take = (idle: 0 | 1) => asWorker(`job-take/WORKER?gpu=SIM&job_in_progress=${idle === 1 ? 0 : 1}`);
  expect((await take(1)).status).toBe(200);
  const post = (body: string, workerId = "w1") =>
    asWorker(`job-stream/WORKER/${id}?gpu=SIM&isStream=false`, body, workerId);
  const chunk = (value: unknown, workerId = "w1") => post(JSON.stringify({ output: value }), workerId);
  const done = (body: string) => asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=true`, body);
  const drain = async (query = "") => pageSchema.parse(await (await asClient(`stream/${id}${query}`)).json());
  const status = async () => statusSchema.parse(await (await asClient(`status/${id}`)).json());
  const events = (lastEventId?: string) =>
    asClient(`stream/${id}`, {
      headers: {
        accept: "text/event-stream",
        ...(lastEventId === undefined ? {} : { "last-event-id": lastEventId }),
      },
    });
  return { id, asWorker, asClient, take, post, chunk, done, drain, status, events };
}

describe("RunPod's stream", () => {
  it("hands each chunk out once, and all that are left with the terminal status", async () => {
    const job = await runningJob();
    await job.chunk("t1");
    await job.chunk({ text: "t2" });
    expect(await job.drain()).toEqual({
      status: "IN_PROGRESS",
      stream: [{ output: "t1" }, { output: { text: "t2" } }],
    });
    await job.chunk(3);
    await job.done('{"output":["t1",{"text":"t2"},3]}');
    expect(await job.drain()).toEqual({ status: "COMPLETED", stream: [{ output: 3 }] });
    expect(await job.drain()).toEqual({ status: "COMPLETED", stream: [] });
  });

  it("is held while there is nothing, and answered by the next chunk", async () => {
    const job = await runningJob();
    const drained = job.drain();
    await job.chunk("late");
    expect(await drained).toEqual({ status: "IN_PROGRESS", stream: [{ output: "late" }] });
    const startedMs = Date.now();
    expect(await job.drain("?wait=1000")).toEqual({ status: "IN_PROGRESS", stream: [] });
    expect(Date.now() - startedMs).toBeGreaterThan(900);
  });

  it("gives a chunk that two polls wait for to one of them", async () => {
    const job = await runningJob();
    const drained = Promise.all([job.drain("?wait=20000"), job.drain("?wait=20000")]);
    await scheduler.wait(100);
    await job.chunk("once");
    // The other one would wait on.
    await job.done('{"output":null}');
    const pages = await drained;
    expect(pages.flatMap(({ stream }) => stream)).toEqual([{ output: "once" }]);
  });

  it("keeps a chunk for the next poll when the client of this one went away before it came", async () => {
    const job = await runningJob();
    const client = new AbortController();
    const left = job.asClient(`stream/${job.id}`, { signal: client.signal }).catch(() => "left");
    await scheduler.wait(100);
    client.abort();
    expect(await left).toBe("left");
    await job.chunk("kept");
    expect(await job.drain()).toEqual({ status: "IN_PROGRESS", stream: [{ output: "kept" }] });
  });

  it("gives nothing to a HEAD, whose answer has no body", async () => {
    const job = await runningJob();
    await job.chunk("kept");
    expect((await job.asClient(`stream/${job.id}`, { method: "HEAD" })).status).toBe(405);
    expect(await job.drain()).toMatchObject({ stream: [{ output: "kept" }] });
  });

  it("gives 3 MiB of chunks with the terminal status in one answer", async () => {
    const job = await runningJob();
    const text = "x".repeat(600_000);
    for (let n = 0; n < 5; n += 1) expect((await job.chunk(`${n}${text}`)).status).toBe(200);
    await job.done('{"output":[]}');
    const page = await job.drain();
    expect(page.stream.map(({ output }) => String(output).slice(0, 1))).toEqual(["0", "1", "2", "3", "4"]);
    expect(await job.drain()).toEqual({ status: "COMPLETED", stream: [] });
  });
});

describe("the output of a stream", () => {
  it("is the worker's aggregate, or made of the chunks that it has sent", async () => {
    const aggregated = await runningJob();
    await aggregated.chunk("a");
    await aggregated.done('{"output":["a","b"]}');
    expect(await aggregated.status()).toMatchObject({ status: "COMPLETED", output: ["a", "b"] });
    const bare = await runningJob();
    await bare.chunk("a");
    await bare.chunk({ b: Number.NaN });
    await bare.done('{"output":[]}');
    expect(await bare.status()).toMatchObject({ status: "COMPLETED", output: ["a", { b: null }] });
  });

  it("is never larger than what an output may be: the chunk that would make it so ends the job", {
    timeout: 60_000,
  }, async () => {
    const job = await runningJob();
    const text = "x".repeat(CHUNK_MAX_BYTES - '{"output":""}'.length);
    const largest = RESULT_MAX_BYTES / CHUNK_MAX_BYTES;
    for (let n = 0; n < largest; n += 1) expect((await job.chunk(text)).status).toBe(200);
    const restBytes = largest * '{"output":}'.length;
    expect((await job.chunk("y".repeat(restBytes - 10))).status).toBe(413);
    expect(await job.status()).toMatchObject({ status: "FAILED", error: "the stream is longer than 95 MiB" });
  });

  it("stays an empty list when there was no chunk, and goes to R2 when it is large", async () => {
    const empty = await runningJob();
    await empty.done('{"output":[]}');
    expect(await empty.status()).toMatchObject({ status: "COMPLETED", output: [] });
    const large = await runningJob();
    const text = "y".repeat(200_000);
    for (let n = 0; n < 4; n += 1) await large.chunk(text);
    await large.done('{"output":[]}');
    expect(await large.status()).toMatchObject({ status: "COMPLETED", output: [text, text, text, text] });
  });
});

describe("a chunk", () => {
  it("of another worker, or after the end, changes nothing", async () => {
    const job = await runningJob();
    expect(await (await job.chunk("foreign", "w2")).json()).toEqual({ accepted: false });
    await job.chunk("own");
    await job.done('{"output":["own"]}');
    expect(await (await job.chunk("late")).json()).toEqual({ accepted: false });
    expect(await job.drain()).toEqual({ status: "COMPLETED", stream: [{ output: "own" }] });
  });

  /** A post that is larger than any result, though its chunk is small. */
  const tooLarge = `{"output":1,"more":"${"x".repeat(RESULT_MAX_BYTES)}"}`;

  it("whose post is larger than a result fails the job instead of leaving a hole", async () => {
    const job = await runningJob();
    expect((await job.post(tooLarge)).status).toBe(413);
    expect(await job.status()).toMatchObject({
      status: "FAILED",
      error: "a streamed chunk is larger than 95 MiB",
    });
  });

  it("that is too large is asked for again while the broker cannot fail the job for it", async () => {
    const job = await runningJob();
    const trouble = Object.assign(new Error("overloaded"), { overloaded: true });
    const report = vi.spyOn(EndpointBroker.prototype, "report").mockRejectedValueOnce(trouble);
    expect((await job.post(tooLarge)).status).toBe(503);
    report.mockRestore();
    expect((await job.post(tooLarge)).status).toBe(413);
    expect(await job.status()).toMatchObject({ status: "FAILED" });
  });

  it("of over 95 MiB fails the job by the piece that has no room, and nothing of it is shown", {
    timeout: 60_000,
  }, async () => {
    const job = await runningJob();
    expect((await job.chunk("x".repeat(RESULT_MAX_BYTES))).status).toBe(413);
    expect(await job.status()).toMatchObject({ status: "FAILED", error: expect.stringContaining("95 MiB") });
    expect(await job.drain()).toEqual({ status: "FAILED", stream: [] });
  });

  it("without an output, or that is no JSON, is refused by name", async () => {
    const job = await runningJob();
    expect(await (await job.post("{}")).json()).toMatchObject({ field: "output" });
    expect(await (await job.post('{"output":')).json()).toMatchObject({ field: "body" });
  });

  it("that is no JSON ends the attempt instead of leaving a hole", async () => {
    const job = await runningJob();
    await job.post('{"output":');
    expect(await job.status()).toMatchObject({ status: "IN_QUEUE" });
  });
});

describe("an event stream", () => {
  /** Reads events until `count` are there or the stream ends; leaves then. */
  async function readEvents(response: Response, count = Number.POSITIVE_INFINITY): Promise<string[]> {
    if (response.body === null) return [];
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { done, value } = await reader.read();
      text += value ?? "";
      const events = text.split("\n\n").filter((event) => event !== "" && !event.startsWith(":"));
      if (done || events.length >= count) {
        await reader.cancel().catch(() => undefined);
        return events.slice(0, count);
      }
    }
  }

  const idOf = (event: string | undefined) => /^id: (.*)$/m.exec(event ?? "")?.[1] ?? "";

  it("shows chunks as they come, to many readers from the start, and ends with the status", async () => {
    const job = await runningJob();
    await job.chunk("one");
    const early = readEvents(await job.events());
    await job.chunk({ two: "\n" });
    await job.done('{"output":[]}');
    const expected = [
      'id: 1.1\ndata: {"output":"one"}',
      'id: 1.2\ndata: {"output":{"two":"\\n"}}',
      `id: 1.2.end\nevent: status\ndata: {"id":"${job.id}","status":"COMPLETED"}`,
    ];
    expect(await early).toEqual(expected);
    expect(await readEvents(await job.events())).toEqual(expected);
    expect(await job.drain()).toMatchObject({ stream: [{ output: "one" }, { output: { two: "\n" } }] });
  });

  it("has a large chunk in several events, and can go on after each of them", async () => {
    const job = await runningJob();
    const text = "é😀x".repeat(CHUNK_MAX_BYTES / 2);
    await job.chunk(text);
    await job.done('{"output":[]}');
    const whole = await readEvents(await job.events());
    const outputs = whole.slice(0, -1).map((event) => {
      const data: unknown = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? "");
      return z.object({ output: z.string() }).parse(data).output;
    });
    expect([outputs.length, outputs.join("") === text]).toEqual([4, true]);
    const rest = await readEvents(await job.events(idOf(whole[1])));
    expect(rest.join() === whole.slice(2).join()).toBe(true);
  });

  it("that was cut at any event goes on with the next one", async () => {
    const job = await runningJob();
    for (let n = 0; n < 10; n += 1) await job.chunk(`chunk ${n}`);
    await job.done('{"output":[]}');
    const whole = await readEvents(await job.events());
    expect(whole).toHaveLength(11);
    for (let cut = 1; cut < whole.length; cut += 1) {
      const before = await readEvents(await job.events(), cut);
      const after = await readEvents(await job.events(idOf(before.at(-1))));
      expect([...before, ...after]).toEqual(whole);
    }
    expect((await job.events(idOf(whole.at(-1)))).status).toBe(204);
  });

  it("tells of a second attempt before its first chunk, and the drain goes on with that one", {
    timeout: 15_000,
  }, async () => {
    const job = await runningJob();
    await job.chunk("first try");
    // A new process of the same id: it runs nothing, so the job is given out again. Before this grace nobody believes it.
    await scheduler.wait(IDLE_GRACE_MS);
    expect((await job.take(1)).status).toBe(200);
    expect((await job.chunk("second try")).status).toBe(200);
    await job.done('{"output":[]}');
    expect(await readEvents(await job.events())).toEqual([
      'id: 1.1\ndata: {"output":"first try"}',
      'id: 2.0\nevent: attempt\ndata: {"attempt":2}',
      'id: 2.1\ndata: {"output":"second try"}',
      `id: 2.1.end\nevent: status\ndata: {"id":"${job.id}","status":"COMPLETED"}`,
    ]);
    expect(await job.drain()).toEqual({ status: "COMPLETED", stream: [{ output: "second try" }] });
    expect(await job.status()).toMatchObject({ output: ["second try"] });
  });

  it("that had ended goes on after a retry", async () => {
    const job = await runningJob();
    await job.chunk("before");
    await job.done('{"error":"no"}');
    const ended = await readEvents(await job.events());
    expect((await job.events(idOf(ended.at(-1)))).status).toBe(204);
    expect((await job.asClient(`retry/${job.id}`, { method: "POST" })).status).toBe(200);
    expect((await job.take(1)).status).toBe(200);
    await job.chunk("after");
    expect(await readEvents(await job.events(idOf(ended.at(-1))), 2)).toEqual([
      'id: 2.0\nevent: attempt\ndata: {"attempt":2}',
      'id: 2.1\ndata: {"output":"after"}',
    ]);
  });

  it("refuses an id that it has not given out, and another tenant's job", async () => {
    const job = await runningJob();
    expect(await (await job.events("seven")).json()).toMatchObject({ field: "Last-Event-ID" });
    const stranger = await makeTenant();
    expect((await client(stranger, `stream/${job.id}`)).status).toBe(404);
  });
});
