// Carrying an attempt: what each answer or failure of an upstream becomes, in both dialects, and how the lease is kept.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Outcome } from "../../src/contract/dispatch.ts";
import { failedWithStatus } from "../../src/core/job/failure.ts";
import { ERROR_TEXT_MAX_BYTES } from "../../src/core/limits.ts";
import { openAiErrorOf } from "../../src/core/openai/error.ts";
import { seal } from "../../src/outbound/credentials.ts";
import {
  answered,
  BASE,
  failed,
  HOSTED,
  HTTP,
  inline,
  jumpingClock,
  KEY,
  LOCAL,
  paused,
  run,
  said,
  upstreamAnswers,
} from "../support/carrying.ts";

afterEach(() => vi.restoreAllMocks());

/** What RunPod's SDK reports of an exception with such a long traceback. */
function sdkError(tracebackChars: number) {
  return {
    error_type: "<class 'ValueError'>",
    error_message: "boom é",
    error_traceback: `Traceback (most recent call last):\n${"x".repeat(tracebackChars)}\nValueError: boom é\n`,
    hostname: "wk1-host",
    worker_id: "wk1",
    runpod_version: "1.12.0",
  };
}

describe("the status of a submit", () => {
  const rows: [number, Record<string, string>, string, Outcome][] = [
    [500, {}, "boom", answered(500)],
    [502, {}, "", answered(502)],
    [503, {}, "", answered(503)],
    [504, {}, "", answered(504)],
    [408, {}, "", answered(408)],
    [425, {}, "", answered(425)],
    [521, {}, "", paused("The upstream answered 521 (a proxy's status: the connection was refused).", null)],
    [503, { "retry-after": "5" }, "", paused("The upstream answered 503.", 5_000)],
    [429, {}, "", paused("The upstream answered 429.", null)],
    [429, { "retry-after": "2" }, "", paused("The upstream answered 429.", 2_000)],
    [429, { "retry-after": "99999" }, "", paused("The upstream answered 429.", 99_999_000)],
    [429, { "retry-after": "Tue, 14 Nov 2023 22:13:30 GMT" }, "", paused("The upstream answered 429.", 10_000)],
    [429, { "retry-after": "garbage" }, "", paused("The upstream answered 429.", null)],
    [401, {}, "", { kind: "upstream_unhealthy", detail: "The upstream answered 401." }],
    [403, {}, "", { kind: "upstream_unhealthy", detail: "The upstream answered 403." }],
    [404, {}, "", { kind: "upstream_unhealthy", detail: "The upstream answered 404." }],
    [405, {}, "", { kind: "upstream_unhealthy", detail: "The upstream answered 405." }],
    [400, {}, '{"error":"bad input"}', { kind: "rejected", failure: failedWithStatus(400, "bad input") }],
    [413, {}, "too big", { kind: "rejected", failure: failedWithStatus(413, "too big") }],
    [415, {}, "", { kind: "rejected", failure: failedWithStatus(415, "") }],
    [422, {}, '{"detail":[1]}', { kind: "rejected", failure: failedWithStatus(422, '{"detail":[1]}') }],
    [
      302,
      { location: "file:///etc/passwd" },
      "",
      { kind: "upstream_unhealthy", detail: "The upstream answered 302; redirects are not followed." },
    ],
  ];
  for (const upstream of [HTTP, HOSTED, LOCAL]) {
    it.each(rows)(
      `${upstream.dialect}${upstream.local ? " local" : ""}: %i with %j and %j`,
      async (status, headers, body, outcome) => {
        const seen = upstreamAnswers(() => new Response(body, { status, headers }));
        expect((await run(upstream)).outcomes).toEqual([outcome]);
        // What an operator has set wrong is the same for a question without a job.
        expect(seen).toHaveLength(outcome.kind === "upstream_unhealthy" ? 2 : 1);
      },
    );
  }
});

describe("the text of an error status", () => {
  it.each([
    ["http", HTTP, { error: "x".repeat(20_000) }, "x".repeat(20_000)],
    ["openai", { ...HTTP, dialect: "openai" }, { error: { message: "x".repeat(20_000), code: "long" } }, null],
  ] as const)("of the dialect %s is kept up to 32 KiB", async (_name, upstream, answer, text) => {
    upstreamAnswers(() => Response.json(answer, { status: 422 }));
    const input = inline('{"openai_route":"/v1/chat/completions","openai_input":{"model":"m"}}');
    const failure = failedWithStatus(422, text ?? JSON.stringify(answer));
    expect((await run(upstream, { assignment: { input } })).outcomes).toEqual([{ kind: "rejected", failure }]);
    expect(failure.message.length).toBeGreaterThanOrEqual(20_000);
  });

  it.each([60_000, 300_000])("of an OpenAI server that sends %i characters stays JSON", async (chars) => {
    const error = { type: "invalid_request_error", message: `too long: ${"é".repeat(chars)}`, code: "context" };
    upstreamAnswers(() => Response.json({ error }, { status: 400 }));
    const input = inline('{"openai_route":"/v1/chat/completions","openai_input":{"model":"m"}}');
    const { outcomes } = await run({ ...HTTP, dialect: "openai" }, { assignment: { input } });
    const [outcome] = outcomes;
    const message = outcome !== undefined && "failure" in outcome ? outcome.failure.message : "";
    expect(new TextEncoder().encode(message).length).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
    const shown = JSON.parse(message);
    expect(shown).toMatchObject({ error: { type: error.type, message: expect.stringMatching(/^too long: é{9000}/) } });
    expect(openAiErrorOf(`the upstream answered 400: ${message}`)).toMatchObject({
      status: 400,
      error: { type: "invalid_request_error", message: shown.error.message },
    });
  });
});

describe("a connection that fails", () => {
  const lost = () => Object.assign(new Error("Network connection lost."), { remote: true, retryable: true });

  it("pauses the upstream when the body was not taken to its end", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(() => Promise.reject(lost()));
    expect((await run(HTTP)).outcomes).toEqual([
      paused("The upstream could not be reached: the connection was refused.", null),
    ]);
  });

  it("pauses the upstream when its name is not found or its handshake fails, which workerd does not distinguish", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(() =>
      Promise.reject(new Error("internal error; reference = abc")),
    );
    expect((await run(HTTP)).outcomes).toEqual([
      paused(
        "The upstream could not be reached: its host name was not found, or the TLS handshake failed, " +
          "so it may speak http:, or its certificate is not valid for this host.",
        null,
      ),
    ]);
  });

  it("counts the attempt when the whole body had gone out", async () => {
    upstreamAnswers(() => Promise.reject(lost()));
    expect((await run(HTTP)).outcomes).toEqual([
      failed("bad_answer", "the upstream closed the connection without an answer"),
    ]);
  });

  it("counts the attempt when the answer is cut short", async () => {
    const cut = () => {
      let pulls = 0;
      return new ReadableStream<Uint8Array>({
        pull: (c) => (pulls++ === 0 ? c.enqueue(new TextEncoder().encode('{"a":')) : c.error(lost())),
      });
    };
    upstreamAnswers(() => new Response(cut()));
    expect((await run(HTTP)).outcomes).toEqual([failed("bad_answer", "the upstream's answer was cut short")]);
  });
});

describe("an http upstream", () => {
  it("gets the job with its unknown fields and gives its answer as the output, byte for byte", async () => {
    const seen = upstreamAnswers(() => new Response('{"a": 1.0, "a": null}'));
    const credential = await seal("token", KEY, "upstream:up");
    const fields = { s3Config: '{"k":1}', webhook: '"https://x"', policy: "{}", other: "1e21" };
    const { outcomes } = await run({ ...HTTP, credential }, { assignment: { fields } });
    expect(outcomes).toEqual([{ kind: "completed", output: inline('{"a": 1.0, "a": null}') }]);
    expect(seen[0]?.body.replace(/^\{ +| +(?=\}$)/g, (pad) => pad.trim())).toBe(
      '{"id":"job-u1","input":{"n" : 1.0},"s3Config":{"k":1},"other":1e21}',
    );
    expect(seen[0]?.headers.get("authorization")).toBe("Bearer token");
    expect(seen[0]?.headers.get("x-waybill-job")).toBe("job-u1");
  });

  it("may answer nothing, and an error object is only an output", async () => {
    upstreamAnswers(() => new Response(null, { status: 204 }));
    expect((await run(HTTP)).outcomes).toEqual([{ kind: "completed", output: null }]);
    vi.restoreAllMocks();
    upstreamAnswers(() => new Response('{"error":"x"}'));
    expect((await run(HTTP)).outcomes).toEqual([{ kind: "completed", output: inline('{"error":"x"}') }]);
  });

  it("that closes where its answer should be has not answered", async () => {
    upstreamAnswers(() => new Response(new ReadableStream({ start: (controller) => controller.close() })));
    expect((await run(HTTP)).outcomes).toEqual([
      failed("bad_answer", "the upstream closed the connection where its answer should be"),
    ]);
  });

  it.each(["{", "NaN", "nope", "[".repeat(100_000)])("fails the attempt on invalid JSON", async (body) => {
    upstreamAnswers(() => new Response(body));
    expect((await run(HTTP)).outcomes).toMatchObject([
      {
        kind: "attempt_failed",
        failure: { code: "bad_answer", message: expect.stringContaining("not valid"), source: "worker" },
      },
    ]);
  });

  it("fails the job clearly when the result is over 95 MiB", async () => {
    let first = true;
    const endless = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          const chunk = new Uint8Array(1024 * 1024).fill(0x61);
          if (first) chunk[0] = 0x22;
          first = false;
          controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
    upstreamAnswers(() => new Response(endless));
    expect((await run(HTTP)).outcomes).toEqual([
      {
        kind: "rejected",
        failure: { code: "answer_too_large", message: "the result is larger than 95 MiB", source: "worker" },
      },
    ]);
  });

  it("is unhealthy when its credential does not open", async () => {
    const credential = await seal("token", KEY, "upstream:other");
    expect((await run({ ...HTTP, credential })).outcomes).toMatchObject([{ kind: "upstream_unhealthy" }]);
  });
});

describe("a hosted runpod upstream", () => {
  function hosted(polls: (() => Response)[]) {
    let at = 0;
    return upstreamAnswers((call) => {
      if (call.url.endsWith("/run")) return Response.json({ id: "up/1", status: "IN_QUEUE" });
      if (call.url.includes("/cancel/")) return Response.json({ id: "up/1", status: "CANCELLED" });
      return (polls[Math.min(at++, polls.length - 1)] ?? Response.error)();
    });
  }
  const status = (body: object) => () => Response.json({ id: "up/1", ...body });

  it("is asked until the status is final, through errors that mean nothing", async () => {
    const seen = hosted([
      status({ status: "IN_QUEUE" }),
      status({ status: "IN_PROGRESS", output: "50%" }),
      () => new Response("", { status: 500 }),
      () => new Response("", { status: 429 }),
      () => {
        throw new Error("Network connection lost.");
      },
      status({ status: "COMPLETED", output: [1] }),
    ]);
    expect(await run(HOSTED)).toEqual({ outcomes: [{ kind: "completed", output: inline("[1]") }], noted: ["up/1"] });
    expect(seen.map((call) => `${call.method} ${call.url.slice(BASE.length)}`).slice(0, 2)).toEqual([
      "POST /run",
      "GET /status/up%2F1",
    ]);
  });

  it.each([
    [
      { status: "FAILED", error: "no cuda", output: 1 },
      { kind: "handler_error", failure: said("no cuda"), output: inline("1") },
    ],
    [
      { status: "FAILED", error: { a: 1 } },
      { kind: "handler_error", failure: said('{"a":1}'), output: null },
    ],
    [{ status: "CANCELLED" }, failed("upstream_lost", "the upstream cancelled the job")],
    [{ status: "TIMED_OUT" }, failed("upstream_lost", "the job timed out at the upstream")],
    [{ status: "SLEEPING" }, failed("bad_answer", "the upstream's answer to /status has no known status")],
  ])("that ends with %j", async (body, outcome) => {
    hosted([status(body)]);
    expect((await run(HOSTED)).outcomes).toEqual([outcome]);
  });

  it.each([
    ["answers only 502", () => new Response("", { status: 502 })],
    ["refuses every poll", () => Response.error()],
  ])("that %s for two minutes is lost: not billed, counted, and told to stop", async (_, poll) => {
    const seen = hosted([status({ status: "IN_PROGRESS" }), poll]);
    const clock = jumpingClock();
    const startedMs = clock.now();
    const { outcomes } = await run(HOSTED, { assignment: { executionTimeoutMs: 600_000 }, clock });
    expect(outcomes).toEqual([failed("upstream_lost", "the upstream was lost: it did not tell of the job any more")]);
    expect(clock.now() - startedMs).toBeGreaterThanOrEqual(120_000);
    expect(clock.now() - startedMs).toBeLessThan(180_000);
    expect(seen.at(-1)?.url).toContain("/cancel/");
  });

  it("that takes our key no more keeps its run, and the job waits for its owner to mend it", async () => {
    const seen = hosted([() => new Response("", { status: 401 })]);
    const { outcomes } = await run(HOSTED, { assignment: { executionTimeoutMs: 600_000 } });
    expect(outcomes).toEqual([{ kind: "upstream_unhealthy", detail: "The upstream answered 401." }]);
    expect(seen.some((call) => call.url.includes("/cancel/"))).toBe(false);
  });

  it("is given the policy that was promised to the client, and nothing between it and us", async () => {
    const seen = hosted([status({ status: "COMPLETED" })]);
    const fields = { policy: '{"ttl":1}', webhook: '"https://x"', note: "1.0" };
    await run(HOSTED, { assignment: { executionTimeoutMs: 7_200_000, ttlLeftMs: 86_400_000, fields } });
    expect(seen[0]?.body.replace(/^\{ +| +(?=\}$)/g, (pad) => pad.trim())).toBe(
      '{"id":"job-u1","input":{"n" : 1.0},"policy":{"executionTimeout":7200000,"ttl":86400000},"note":1.0}',
    );
  });

  it("that reports an error of 70 KB fails the job with the beginning of it, cut between two characters", async () => {
    const error = `Traceback \u00e9 ${"x".repeat(70_000)}`;
    hosted([() => new Response(`{"id":"up/1","status":"FAILED","error":${JSON.stringify(error)}}`)]);
    const { outcomes } = await run(HOSTED);
    expect(outcomes).toEqual([
      { kind: "handler_error", failure: said(error.slice(0, ERROR_TEXT_MAX_BYTES - 1)), output: null },
    ]);
  });

  it("that reports an error of 70 KB as JSON fails the job with JSON", async () => {
    const text = JSON.stringify(sdkError(70_000));
    for (const error of [text, sdkError(70_000)]) {
      hosted([status({ status: "FAILED", error })]);
      const { outcomes } = await run(HOSTED);
      expect(outcomes).toMatchObject([{ kind: "handler_error", output: null }]);
      const [outcome] = outcomes;
      const message = outcome !== undefined && "failure" in outcome ? outcome.failure.message : "";
      expect(new TextEncoder().encode(message).length).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
      expect(JSON.parse(message)).toMatchObject({ error_message: "boom é", hostname: "wk1-host", worker_id: "wk1" });
      expect(JSON.parse(message).error_traceback).toMatch(/ValueError: boom é\n$/);
      vi.restoreAllMocks();
    }
  });

  it("whose answers cannot be used is told to stop before another attempt begins", async () => {
    const seen = hosted([() => new Response("<html>")]);
    expect((await run(HOSTED)).outcomes).toMatchObject([{ kind: "attempt_failed" }]);
    expect(seen.at(-1)?.url).toContain("/cancel/");
  });

  it("that has lost its own worker is not billed for it", async () => {
    hosted([status({ status: "FAILED", error: "job timed out after 1 retries" })]);
    expect((await run(HOSTED)).outcomes).toEqual([failed("upstream_lost", "job timed out after 1 retries")]);
  });

  it("is handed over to a fresh carrier before this one's invocation ends, and not told anything", async () => {
    const seen = hosted([status({ status: "IN_PROGRESS" })]);
    const handed: unknown[] = [];
    const handOver = async (call: unknown) => handed.push(call) > 0;
    const assignment = { executionTimeoutMs: 86_400_000, lease: "the lease" };
    const clock = jumpingClock();
    const startedMs = clock.now();
    expect((await run(HOSTED, { assignment, leaseApi: { handOver }, clock })).outcomes).toEqual([]);
    expect(handed).toEqual([{ jobId: "job-u1", lease: "the lease", upstreamJobId: "up/1" }]);
    expect(clock.now() - startedMs).toBeLessThan(13 * 60_000);
    expect(seen.some((call) => call.url.includes("/cancel/"))).toBe(false);
  });

  it("that lost the job fails the attempt, also when taken up by its stored id", async () => {
    const seen = hosted([() => new Response("", { status: 404 })]);
    expect((await run(HOSTED, { assignment: { upstreamJobId: "up/1" } })).outcomes).toEqual([
      failed("upstream_lost", "the upstream lost the job"),
    ]);
    expect(seen).toHaveLength(1);
  });

  it("is told to stop when the execution timeout passes", async () => {
    const seen = hosted([status({ status: "IN_PROGRESS" })]);
    expect((await run(HOSTED)).outcomes).toEqual([{ kind: "timed_out" }]);
    expect(seen.at(-1)?.url).toBe(`${BASE}/cancel/up%2F1`);
  });

  it("is told to stop at once when the lease was lost before its id was stored", async () => {
    const seen = hosted([status({ status: "IN_PROGRESS" })]);
    expect((await run(HOSTED, { leaseApi: { noteUpstreamJob: async () => false } })).outcomes).toEqual([]);
    expect(seen.at(-1)?.url).toBe(`${BASE}/cancel/up%2F1`);
  });
});

describe("a byte order mark before an upstream's answer", () => {
  const MARK = "\ufeff";
  const inBytes = (text: string) =>
    new ReadableStream({
      start(controller) {
        for (const byte of new TextEncoder().encode(text)) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
  const done = '{"id":"up/1","status":"COMPLETED","output":{"a":1.0}}';
  const output = inline('{"a":1.0}');

  it.each([
    ["http", HTTP, '{"a":1.0}'],
    ["runpod", HOSTED, done],
    ["local", LOCAL, done],
    ["openai", { ...HTTP, dialect: "openai" }, '{"a":1.0}'],
  ] as const)("of the dialect %s is skipped", async (_name, upstream, text) => {
    const input = inline('{"openai_route":"/v1/chat/completions","openai_input":{"model":"m"}}');
    for (const form of [(marked: string) => marked, inBytes]) {
      upstreamAnswers(() => new Response(form(`${MARK}${text}`), { headers: { "content-type": "application/json" } }));
      expect((await run(upstream, { assignment: { input } })).outcomes).toMatchObject([{ kind: "completed", output }]);
      vi.restoreAllMocks();
    }
  });

  it("is skipped in an error", async () => {
    upstreamAnswers(() => new Response(inBytes(`${MARK}{"error":"bad"}`), { status: 400 }));
    expect((await run(HTTP)).outcomes).toEqual([{ kind: "rejected", failure: failedWithStatus(400, "bad") }]);
  });

  it.each(["application/x-ndjson", "text/event-stream"])("is skipped in a stream of the type %s", async (type) => {
    const line = type === "text/event-stream" ? 'data: {"a":1.0}\n\n' : '{"a":1.0}\n';
    upstreamAnswers(() => new Response(inBytes(`${MARK}${line}`), { headers: { "content-type": type } }));
    expect((await run(HTTP)).outcomes).toMatchObject([{ kind: "completed", output: inline('[{"a":1.0}]') }]);
  });
});

describe("a local runpod upstream", () => {
  it.each([
    [
      { status: "COMPLETED", output: { a: 1 } },
      { kind: "completed", output: inline('{"a":1}') },
    ],
    [{ status: "COMPLETED" }, { kind: "completed", output: null }],
    [
      { status: "FAILED", error: "bad" },
      { kind: "handler_error", failure: said("bad"), output: null },
    ],
    [{ status: "IN_PROGRESS" }, failed("bad_answer", "the upstream's answer to /runsync has no final status")],
    [{}, failed("bad_answer", "the upstream's answer to /runsync has no final status")],
  ])("that answers %j", async (body, outcome) => {
    const seen = upstreamAnswers(() => Response.json({ id: "x", ...body }));
    expect((await run(LOCAL)).outcomes).toEqual([outcome]);
    expect(seen[0]?.url).toBe(`${BASE}/runsync`);
  });

  it.each(["[]", "null", "7"])("that answers %s has no result", async (body) => {
    upstreamAnswers(() => new Response(body));
    expect((await run(LOCAL)).outcomes).toMatchObject([{ kind: "attempt_failed" }]);
  });
});

describe("the lease", () => {
  it("that is lost drops the call and tells nothing", async () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(
      (_url, init) =>
        new Promise((_, reject) => {
          const stop = () => reject(new Error("aborted"));
          if (init?.signal?.aborted === true) stop();
          init?.signal?.addEventListener("abort", stop);
        }),
    );
    const leaseApi = { renew: async () => false };
    expect((await run(HTTP, { clock: jumpingClock(true), leaseApi })).outcomes).toEqual([]);
  });

  it("of an attempt that is over before the first renewal is never asked for", async () => {
    upstreamAnswers(() => new Response("1"));
    let isCancelled = false;
    const after = () => () => {
      isCancelled = true;
    };
    const atFinish: boolean[] = [];
    const finish = async () => ({ accepted: atFinish.push(isCancelled) > 0, job: null });
    await run(HTTP, { clock: { ...jumpingClock(), after }, leaseApi: { finish } });
    expect(atFinish).toEqual([true]);
  });

  it("whose renewal the broker holds until it hears the outcome is not lost, and the carrier waits for that answer", async () => {
    upstreamAnswers(() => new Response("1"));
    const lines = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const { promise: held, resolve: answerRenewal } = Promise.withResolvers<boolean>();
    let isRenewed = false;
    const renew = () =>
      held.finally(() => {
        isRenewed = true;
      });
    const finish = async () => {
      setTimeout(() => answerRenewal(false), 20);
      return { accepted: true, job: null };
    };
    await run(HTTP, { clock: jumpingClock(true), leaseApi: { renew, finish } });
    expect(isRenewed).toBe(true);
    expect(lines).not.toHaveBeenCalled();
  });

  it("outcome is told again when the broker was replaced, and a refused large output is deleted", async () => {
    const lease = crypto.randomUUID();
    upstreamAnswers(() => new Response(JSON.stringify("x".repeat(300_000))));
    let tries = 0;
    let stored = false;
    const finish = async () => {
      tries += 1;
      stored = (await env.PAYLOADS.head(`ep-stored/job-u1/${lease}/output`)) !== null;
      if (tries < 3) throw Object.assign(new Error("reset"), { durableObjectReset: true });
      return { accepted: false, job: null };
    };
    await run(HTTP, { assignment: { lease, endpointId: "ep-stored" }, leaseApi: { finish } });
    expect([tries, stored]).toEqual([3, true]);
    expect(await env.PAYLOADS.head(`ep-stored/job-u1/${lease}/output`)).toBeNull();
  });

  it("ends with the name of R2 when the result could not be stored", async () => {
    upstreamAnswers(() => new Response(JSON.stringify("x".repeat(300_000))));
    const down = () => Promise.reject(new Error("R2 is down"));
    const bucket = new Proxy(env.PAYLOADS, { get: () => down });
    expect((await run(HTTP, { bucket })).outcomes).toMatchObject([
      {
        kind: "storage_failed",
        failure: { code: "storage_unavailable", message: expect.stringContaining("R2"), source: "waybill" },
      },
    ]);
  });
});
