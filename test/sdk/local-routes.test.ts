// The routes of a local endpoint, one by one. What handlers' results become is test/conformance/sdk-results.test.ts.
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { CHUNK_MAX_BYTES, RUN_BODY_MAX_BYTES } from "../../src/core/limits.ts";
import { makeGate, serve } from "./local-endpoint.ts";

const ID = "00000000-0000-4000-8000-000000000000-u1";

describe("a submit", () => {
  it("is answered as RunPod's clients need it, at the root and below an endpoint's name", async () => {
    const { call } = await serve({ handler: ({ input }) => input });
    for (const path of ["/run", "/v2/any-name/run", "//v2/any-name//run/"]) {
      const response = await call(path, { input: {} });
      expect(response.status).toBe(200);
      expect(await response.json()).toEqual({ id: expect.stringMatching(/^[0-9a-f-]{36}-u1$/), status: "IN_QUEUE" });
      expect(response.headers.get("x-request-id")).not.toBeNull();
    }
  });

  it("gives the handler every field beside the input", async () => {
    const { ask } = await serve({
      handler: ({ signal: _signal, log: _log, progress: _progress, ...job }) => ({ job }),
    });
    const answer = await ask("/runsync", { metadata: { a: "b" }, extra: [1.5, null], input: 1 });
    expect(answer.output).toEqual({ job: { id: answer.id, input: 1, metadata: { a: "b" }, extra: [1.5, null] } });
  });

  it.each([
    ["no JSON", "{", "body", /at byte 1/],
    ["no object", "[]", "body", /object/],
    ["an empty body", "", "body", /empty/],
    ["a field twice", '{"input":1,"input":2}', "body", /input/],
    ["no input", "{}", "input", /is required/],
    ["a wrong ttl", '{"input":1,"policy":{"ttl":1}}', "policy.ttl", /10000/],
    ["a wrong webhook", '{"input":1,"webhook":1}', "webhook", /must be a URL/],
    ["wrong metadata", '{"input":1,"metadata":{"a":1}}', "metadata.a", /must be a string/],
    ["too much beside the input", `{"input":1,"a":"${"x".repeat(70_000)}"}`, "body", /65536 bytes/],
  ])("with %s is refused by the name of the field", async (_title, body, field, message) => {
    const { call } = await serve({ handler: () => 1 });
    const response = await call("/run", body);
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: expect.stringContaining(field),
      message: expect.stringMatching(message),
      field,
    });
  });

  it("of another type, compressed or too large is refused", async () => {
    const { call } = await serve({ handler: () => 1 });
    expect((await call("/run", "{}", { "content-type": "application/xml" })).status).toBe(415);
    expect((await call("/run", "{}", { "content-encoding": "gzip" })).status).toBe(415);
    expect((await call("/run", `{"input":"${"x".repeat(RUN_BODY_MAX_BYTES)}"}`)).status).toBe(413);
  });

  it("with an input that does not fit the worker's schema is refused before it is a job", async () => {
    const { call, ask } = await serve({
      handler: ({ input }) => input,
      input: z.object({ size: z.object({ width: z.int().max(10) }), tags: z.array(z.string()).default([]) }),
    });
    const response = await call("/run", { input: { size: { width: 11 } } });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      field: "input/size/width",
      errors: [{ field: "input/size/width", message: expect.stringContaining("10") }],
    });
    expect(await ask("/requests")).toEqual({ requests: [] });
    const whole = await ask("/runsync", { input: { size: { width: 1 } } });
    expect(whole.output).toEqual({ size: { width: 1 }, tags: [] });
  });

  it("that is sent again under an Idempotency-Key finds its job, and another body none", async () => {
    const { call, ask } = await serve({ handler: ({ input }) => input });
    const send = async (path: string, input: unknown) => {
      const response = await call(path, { input }, { "idempotency-key": "k1" });
      return { code: response.status, ...(await response.json()) };
    };
    const first = await send("/runsync", 1);
    expect(await send("/runsync", 1)).toEqual(first);
    expect(await send("/run", 1)).toEqual({ code: 200, id: first.id, status: "COMPLETED" });
    expect(await send("/run", 2)).toMatchObject({ code: 422, error: "idempotency key reused" });
    expect((await call("/run", { input: 1 }, { "idempotency-key": "a,b" })).status).toBe(400);
    expect((await ask("/health")).jobs).toMatchObject({ completed: 1 });
  });

  it("is not for a page of another site", async () => {
    const { call } = await serve({ handler: () => 1 });
    const response = await call("/run", { input: 1 }, { "sec-fetch-site": "cross-site" });
    expect([response.status, await response.json()]).toEqual([403, expect.objectContaining({ error: "forbidden" })]);
  });
});

describe("/runsync", () => {
  it("answers with the state past its wait, and names the job before its end", async () => {
    const { handler, letGo } = makeGate();
    const { call, ask } = await serve({ handler });
    const response = await call("/v2/ep/runsync?wait=1000", { input: 1 });
    const id = response.headers.get("x-job-id");
    expect(response.headers.get("location")).toBe(`/v2/ep/status/${id}`);
    expect(await response.json()).toEqual({
      id,
      delayTime: expect.any(Number),
      status: "IN_PROGRESS",
      workerId: "w1",
    });
    letGo();
    expect(await ask(`/status-sync/${id}?wait=5000`)).toMatchObject({ id, status: "COMPLETED", output: 1 });
  });

  it.each(["/runsync?wait=1", "/runsync?wait=x", "/runsync?wait=1000&wait=1000"])("refuses %s", async (path) => {
    const { call } = await serve({ handler: () => 1 });
    const response = await call(path, { input: 1 });
    expect([response.status, await response.json()]).toEqual([400, expect.objectContaining({ field: "?wait" })]);
  });
});

describe("jobs", () => {
  it("wait in order, as many at once as the worker may run, and say why", async () => {
    const { handler, begun, letGo } = makeGate();
    const { ask } = await serve({ handler, concurrency: 2 });
    const ids: string[] = [];
    for (const input of [1, 2, 3, 4]) ids.push((await ask("/run", { input })).id);
    const low = await ask("/run", { input: "low", policy: { lowPriority: true } });
    ids.push((await ask("/run", { input: 5 })).id, low.id);
    expect(begun).toEqual([1, 2]);
    expect(await ask(`/status/${ids[3]}`)).toEqual({
      id: ids[3],
      queue: { position: 2, reason: "ALL_BUSY", detail: expect.any(String), since: expect.any(Number) },
      status: "IN_QUEUE",
    });
    expect(await ask("/health")).toEqual({
      jobs: { completed: 0, failed: 0, inProgress: 2, inQueue: 4, retried: 0 },
      workers: { idle: 0, initializing: 0, ready: 0, running: 1, throttled: 0, unhealthy: 0 },
    });
    for (const id of ids) {
      letGo();
      await ask(`/status-sync/${id}?wait=5000`);
    }
    expect(begun).toEqual([1, 2, 3, 4, 5, "low"]);
  });

  it("are cancelled while they wait and while they run, and stay so", async () => {
    const { handler, begun } = makeGate();
    const { ask } = await serve({ handler });
    const [running, waiting] = [await ask("/run", { input: 1 }), await ask("/run", { input: 2 })];
    expect(await ask(`/cancel/${waiting.id}`, "")).toEqual({ id: waiting.id, status: "CANCELLED" });
    expect(await ask(`/cancel/${running.id}`, {})).toMatchObject({
      executionTime: expect.any(Number),
      status: "CANCELLED",
    });
    const next = await ask("/run", { input: 3 });
    expect(begun).toEqual([1, 3]);
    await ask(`/cancel/${next.id}`, {});
    expect(await ask(`/status/${running.id}`)).toMatchObject({ status: "CANCELLED" });
  });

  it("that have failed run again by /retry, and no others do", async () => {
    let runs = 0;
    const { ask, call } = await serve({
      handler: () => {
        runs += 1;
        return runs === 1 ? { error: "not yet" } : { runs };
      },
    });
    const { id } = await ask("/runsync", { input: 1 });
    expect(await ask(`/retry/${id}`, {})).toEqual({ id, status: "IN_QUEUE" });
    expect(await ask(`/status-sync/${id}`)).toMatchObject({ status: "COMPLETED", output: { runs: 2 } });
    const again = await call(`/retry/${id}`, {});
    const error = "only a FAILED job can be retried; it is COMPLETED";
    expect([again.status, await again.json()]).toEqual([400, { error, message: error }]);
    expect((await ask("/health")).jobs).toMatchObject({ completed: 1, failed: 0 });
  });

  it("are unknown by another id", async () => {
    const { call } = await serve({ handler: () => 1 });
    for (const path of [`/status/${ID}`, `/stream/${ID}`, `/status-sync/${ID}`, "/status/x"]) {
      const response = await call(path);
      expect([response.status, await response.json()]).toEqual([404, expect.objectContaining({ error: "not found" })]);
    }
  });

  it("are listed, the newest first", async () => {
    const { ask } = await serve({ handler: ({ input }) => input });
    const { id } = await ask("/runsync", { input: 1 });
    const second = await ask("/runsync", { input: "x".repeat(20_000) });
    expect(await ask("/requests")).toMatchObject({
      requests: [
        { id: second.id, status: "COMPLETED" },
        { id, output: 1 },
      ],
    });
    expect(JSON.stringify(await ask("/requests"))).not.toContain("xx");
  });
});

describe("/stream", () => {
  const handler = async function* () {
    yield "a";
    yield { b: 1 };
  };

  it("hands out each chunk once, and goes on answering after the end", async () => {
    const { ask } = await serve({ handler });
    const { id } = await ask("/runsync", { input: 1 });
    const whole = { id, status: "COMPLETED", stream: [{ output: "a" }, { output: { b: 1 } }] };
    expect(await ask(`/stream/${id}`)).toEqual(whole);
    expect(await ask(`/stream/${id}`, {})).toEqual({ ...whole, stream: [] });
  });

  it("is held until there is something", async () => {
    const { handler: held, letGo } = makeGate();
    const { ask } = await serve({
      handler: async function* (job) {
        yield await held(job);
        yield await held(job);
      },
    });
    const { id } = await ask("/run", { input: 7 });
    expect(await ask(`/stream/${id}?wait=1000`)).toEqual({ id, status: "IN_PROGRESS", stream: [] });
    const first = ask(`/stream/${id}`);
    letGo();
    expect(await first).toEqual({ id, status: "IN_PROGRESS", stream: [{ output: 7 }] });
    await ask(`/cancel/${id}`, {});
  });

  it("sends events that a reader can take up again", async () => {
    const { call, ask } = await serve({ handler });
    const { id } = await ask("/runsync", { input: 1 });
    const events = { accept: "text/event-stream" };
    const end = `id: 1.2.end\nevent: status\ndata: {"id":"${id}","status":"COMPLETED"}\n\n`;
    const second = 'id: 1.2\ndata: {"output":{"b":1}}\n\n';
    const whole = await call(`/stream/${id}`, undefined, events);
    expect(whole.headers.get("content-type")).toContain("text/event-stream");
    expect(await whole.text()).toBe(`id: 1.1\ndata: {"output":"a"}\n\n${second}${end}`);
    const rest = await call(`/stream/${id}`, undefined, { ...events, "last-event-id": "1.1" });
    expect(await rest.text()).toBe(`${second}${end}`);
    expect((await call(`/stream/${id}`, undefined, { ...events, "last-event-id": "1.2.end" })).status).toBe(204);
    const wrong = await call(`/stream/${id}`, undefined, { ...events, "last-event-id": "x" });
    expect([wrong.status, await wrong.json()]).toEqual([400, expect.objectContaining({ field: "Last-Event-ID" })]);
  });

  it("cuts a chunk that is larger than a deployed endpoint keeps", async () => {
    const large = "x".repeat(CHUNK_MAX_BYTES);
    const { ask } = await serve({
      handler: function* () {
        yield large;
      },
    });
    const { id, output } = await ask("/runsync", { input: 1 });
    const { stream } = await ask(`/stream/${id}`);
    const pieces = z
      .array(z.object({ output: z.string() }))
      .parse(stream)
      .map((each) => each.output);
    expect(pieces.length).toBe(2);
    expect(pieces.join("")).toBe(large);
    expect(output).toEqual(pieces);
  });
});

it("says which option names another port where one is taken", async () => {
  const { url } = await serve({ handler: () => 1 });
  await expect(serve({ handler: () => 1 }, Number(new URL(url).port))).rejects.toThrow(/EADDRINUSE.*--rp_api_port/);
});

it("names the methods of a route, and knows no other routes", async () => {
  const { url, call } = await serve({ handler: () => 1 });
  const wrong = await fetch(`${url}/run`, { method: "PUT" });
  expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
  expect((await fetch(`${url}/stream/${ID}`, { method: "HEAD" })).status).toBe(405);
  expect((await fetch(`${url}/health`, { method: "HEAD" })).status).toBe(200);
  for (const path of ["/", "/v2", "/v2/serverless/health", "/health/more", "/status", "/toString", "/run/x"]) {
    expect((await call(path)).status, path).toBe(404);
  }
});

describe("the OpenAI routes", () => {
  it("end a stream whose job is cancelled with that as its last event", async () => {
    const { call, ask } = await serve({
      async *handler({ signal }) {
        yield 'data: {"choices":[{"delta":{"content":"a"}}]}\n\n';
        await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    const answer = await call("/openai/v1/chat/completions", { model: "m", messages: [], stream: true });
    await ask(`/cancel/${answer.headers.get("x-job-id")}`, "");
    const error = { message: "the job was cancelled", type: "server_error", param: null, code: "cancelled" };
    expect((await answer.text()).split("\n\n").slice(1)).toEqual([`data: ${JSON.stringify({ error })}`, ""]);
  });

  it("make a job of a request, as RunPod's gateway does", async () => {
    const { call } = await serve({ handler: ({ input }) => input });
    const chat = { model: "m", messages: [], stream: true, n: 1.5 };
    const streamed = await call("/v2/ep/openai/v1/chat/completions", chat);
    const event = /data: (\{.*\})\n/.exec(await streamed.text())?.[1] ?? "null";
    expect(JSON.parse(event)).toEqual({
      openai_route: "/v1/chat/completions",
      openai_input: { ...chat, stream_options: { include_usage: true } },
    });
    const kept = await call("/openai/v1/responses?a=b", { model: "m" });
    expect(await kept.json()).toEqual({
      openai_route: "/v1/responses",
      openai_query: "?a=b",
      openai_input: { model: "m", store: false },
    });
    const spoken = await call("/openai/v1/audio/translations", "abc", { "content-type": "multipart/form-data" });
    expect(await spoken.json()).toMatchObject({ openai_content_type: "multipart/form-data", openai_input: "YWJj" });
  });

  it.each([
    ["GET", "/openai/v1/files", undefined, 403, "route_not_allowed", null],
    ["GET", "/openai/v2", undefined, 403, "route_not_allowed", null],
    ["POST", "/openai/v1/chat/completions", "{", 400, "body", "body"],
    ["POST", "/openai/v1/responses", '{"store":true}', 400, "store", "store"],
  ])("refuse %s %s %s in OpenAI's shape", async (_method, path, body, status, code, param) => {
    const { call } = await serve({ handler: () => 1 });
    const response = await call(path, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({
      error: { message: expect.any(String), type: "invalid_request_error", param, code },
    });
  });

  it("answer bytes of a type", async () => {
    const output = { content_type: "audio/mpeg", body_base64: "AQL/" };
    const { call } = await serve({ handler: () => output });
    const response = await call("/openai/v1/audio/speech", { model: "m" });
    expect(response.headers.get("content-type")).toBe("audio/mpeg");
    expect([...new Uint8Array(await response.arrayBuffer())]).toEqual([1, 2, 255]);
  });

  it("fail the job whose output is an error", async () => {
    const { call, ask } = await serve({ handler: () => ({ error: { message: "no such model", code: 404 } }) });
    const response = await call("/openai/v1/embeddings", { model: "m" });
    expect([response.status, await response.json()]).toEqual([
      404,
      { error: expect.objectContaining({ message: "no such model", code: 404 }) },
    ]);
    expect(await ask(`/status/${response.headers.get("x-job-id")}`)).toMatchObject({ status: "FAILED" });
  });
});
