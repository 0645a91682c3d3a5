// What one tenant's request may do to an OpenAI server that others use: nothing. It is refused before it has a lease where that
// is known, and fails with the server's own word where the server has given one.
import { afterEach, describe, expect, it, vi } from "vitest";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";

const ANSWER = { object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: "hi" } }] };

afterEach(() => vi.restoreAllMocks());

/** A sound server: it answers chats, and any other call that says so with the status in its query. */
function soundServer(): string[] {
  const calls: string[] = [];
  answerUpstreams(async (request) => {
    const { pathname, searchParams } = new URL(request.url);
    calls.push(`${request.method} ${pathname}`);
    const status = Number(searchParams.get("status") ?? "200");
    if (status !== 200) {
      const error = JSON.stringify({ error: { message: "not for you", type: "t", param: null, code: "c" } });
      return new Response(status === 304 ? null : error, { status, headers: { location: "/elsewhere" } });
    }
    return Response.json(pathname.endsWith("/models") ? { data: [] } : ANSWER);
  });
  return calls;
}

describe("a request that fetch or the guard would refuse", () => {
  const ROWS: [string, string, string, RequestInit][] = [
    ["a backslash in its query", "query", "/v1/models?x=\\", {}],
    ["a query over 2,048 characters", "query", `/v1/models?x=${"y".repeat(2_048)}`, {}],
    ["a path over 2,048 characters", "path", `/v1/models/${"y".repeat(2_048)}`, {}],
    [
      "a type of 300 characters",
      "content-type",
      "/v1/chat/completions",
      { method: "POST", headers: { "content-type": `a/${"b".repeat(300)}` }, body: "{}" },
    ],
  ];
  it.each(ROWS)("for %s is 400 that names the %s, and costs no job", async (_what, field, path, init) => {
    const calls = soundServer();
    const { ask, chat, health } = await openAiClient();
    const answer = await ask(path, init);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param: field, type: "invalid_request_error" } });
    expect(calls).toEqual([]);
    expect(await health()).toMatchObject({
      jobs: { completed: 0, failed: 0 },
      workers: { unhealthy: 0, throttled: 0 },
    });
    expect((await chat({ messages: [] })).status).toBe(200);
  });
});

describe("a status that a tenant's request alone is given", () => {
  it.each([401, 403, 404, 405])("%i reaches that client with the server's words, and nobody else", async (status) => {
    soundServer();
    const { ask, chat, health } = await openAiClient();
    const answer = await ask(`/v1/models/x?status=${status}`);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ error: { message: "not for you" } });
    expect(await health()).toMatchObject({ workers: { unhealthy: 0, throttled: 0 } });
    expect((await chat({ messages: [] })).status).toBe(200);
  });

  it.each([301, 302, 304, 307])("%i is a bad answer for that client, and for nobody else", async (status) => {
    soundServer();
    const { ask, chat, health } = await openAiClient();
    const answer = await ask(`/v1/models/x?status=${status}`);
    expect(answer.status).toBe(502);
    expect(answer.headers.get("location")).toBeNull();
    expect(await answer.json()).toMatchObject({ error: { code: "bad_answer" } });
    expect(await health()).toMatchObject({ workers: { unhealthy: 0, throttled: 0 } });
    expect((await chat({ messages: [] })).status).toBe(200);
  });
});

describe("a job of /run with a route of its own", () => {
  it.each([
    ["with a backslash", "/v1/models?x=\\", "openai_route"],
    ["of 2,100 characters", `/v1/models?x=${"y".repeat(2_100)}`, "openai_route"],
    ["that is answered 401", "/v1/models?status=401", "401"],
    ["that is answered 307", "/v1/models?status=307", "307"],
  ])("%s fails once, and its neighbours go on", async (_what, route, word) => {
    const calls = soundServer();
    const { run, chat } = await openAiClient();
    const job = await run(JSON.stringify({ openai_route: route }));
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining(word) });
    expect(calls.length).toBeLessThanOrEqual(2);
    expect((await chat({ messages: [] })).status).toBe(200);
  });
});

it("a server that knows our credential no more is unhealthy, and its client is told so", async () => {
  answerUpstreams(() => new Response("no", { status: 401 }));
  const { chat, health } = await openAiClient();
  const answer = await chat({ messages: [] });
  expect(answer.status).toBe(502);
  expect(await answer.json()).toMatchObject({ error: { code: "upstream_unhealthy" } });
  expect(await health()).toMatchObject({ workers: { unhealthy: expect.any(Number) } });
});
