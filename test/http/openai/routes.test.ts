// Which routes of an OpenAI server a key of the scope `jobs` reaches, with the operator's credential on the call.

import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makePulling } from "../../support/pulling.ts";

const JSON_TYPE = { "content-type": "application/json" };

afterEach(() => vi.restoreAllMocks());

/** What the server is asked for, as `METHOD url`, and the bodies that it gets. */
function answerAll(): { readonly asked: string[]; readonly bodies: string[] } {
  const asked: string[] = [];
  const bodies: string[] = [];
  answerUpstreams(async (request) => {
    asked.push(`${request.method} ${request.url}`);
    bodies.push((await request.text()).replace(/ +\}$/, "}"));
    return Response.json({ ok: true });
  });
  return { asked, bodies };
}

describe("a request to a route that is not one of inference", () => {
  it.each([
    ["POST", "/sleep"],
    ["DELETE", "/api/delete"],
    ["POST", "/v1/load_lora_adapter"],
    ["GET", "/v1/files/file-1/content"],
    ["DELETE", "/v1/models/m"],
    ["GET", "/v1/responses/resp_1"],
    ["POST", "/v1/responses/resp_1/cancel"],
    ["POST", "/v1/chat/completions;x"],
    ["POST", "/V1/chat/completions"],
    ["POST", "/v1/chat/%63ompletions"],
    ["GET", "/v1/models/..;/sleep"],
  ])("%s %s is refused before a slot is taken, and says how it could be opened", async (method, path) => {
    const { asked } = answerAll();
    const submit = vi.spyOn(EndpointBroker.prototype, "submit");
    const { ask, tenant } = await openAiClient();
    const answer = await ask(path, method === "POST" ? { method, headers: JSON_TYPE, body: "{}" } : { method });
    expect(answer.status).toBe(403);
    expect(await answer.json()).toEqual({
      error: {
        message: expect.stringContaining(`${method} ${path} is not among the routes`),
        type: "invalid_request_error",
        param: null,
        code: "route_not_allowed",
      },
    });
    expect(submit).not.toHaveBeenCalled();
    expect(asked).toEqual([]);
    expect(tenant.endpointId).toBeTruthy();
  });

  it.each(["/v1/chat/completions/", "/v1//chat/completions", "/v1/chat%5ccompletions", "/v1/models/%2e%2e%2fsleep"])(
    "%s is refused in OpenAI's shape",
    async (path) => {
      const { asked } = answerAll();
      const { ask } = await openAiClient();
      const answer = await ask(path);
      expect([403, 404]).toContain(answer.status);
      expect(await answer.json()).toMatchObject({ error: { message: expect.any(String), code: expect.any(String) } });
      expect(asked).toEqual([]);
    },
  );

  it("is refused for workers that pull as well, before a job is made", async () => {
    const pulling = await makePulling();
    const answer = await pulling.asClient("openai/v1/load_lora_adapter", "{}");
    expect(answer.status).toBe(403);
    expect(await (await pulling.asClient("health")).json()).toMatchObject({ jobs: { inQueue: 0, inProgress: 0 } });
  });

  it("is refused to a key that is not good as to anybody else", async () => {
    const { ask } = await openAiClient();
    expect((await ask("/sleep", { method: "POST", headers: { authorization: "" } })).status).toBe(401);
  });
});

describe("a job of /run with a route of its own", () => {
  it.each([
    "/sleep",
    "/v1/files",
    "/v1/models/%2e%2e/x",
    "/v1/chat/completions;x",
    "/v1/chat/completions/?x=1",
    "/v1//x",
  ])("cannot reach %s: it fails, unbilled, and the server is not asked", async (route) => {
    const { asked } = answerAll();
    const { run, usage } = await openAiClient();
    const job = await run(JSON.stringify({ openai_route: route, openai_input: { a: 1 } }));
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringMatching(/^input\.openai_route: POST \//) });
    expect(asked).toEqual([]);
    expect(await usage()).toEqual([]);
  });

  it("cannot reach a route by the method that an empty body stands for", async () => {
    const { asked } = answerAll();
    const { run } = await openAiClient();
    const job = await run('{"openai_route":"/v1/chat/completions"}');
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("GET /v1/chat/completions") });
    expect(asked).toEqual([]);
  });

  it("reaches what the operator has opened, with its query", async () => {
    const { asked } = answerAll();
    const { run } = await openAiClient({ openaiRoutes: "inference,GET /v1/files/*" });
    expect(await run('{"openai_route":"/v1/files/f1?x=1"}')).toMatchObject({ status: "COMPLETED" });
    expect(asked).toEqual(["GET http://127.0.0.1:9/v1/files/f1?x=1"]);
  });
});

describe("the wide form", () => {
  const sleep = { method: "POST", headers: JSON_TYPE, body: "{}" };

  it("lets every route through where the endpoint is its tenant's own", async () => {
    const { asked } = answerAll();
    const { ask, run } = await openAiClient({ openaiRoutes: "all" });
    expect((await ask("/sleep", sleep)).status).toBe(200);
    expect(await run('{"openai_route":"/wake_up","openai_input":{"a":1}}')).toMatchObject({ status: "COMPLETED" });
    expect(asked).toEqual(["POST http://127.0.0.1:9/sleep", "POST http://127.0.0.1:9/wake_up"]);
  });

  it("does not hold where the endpoint is shared, not even for its owner", async () => {
    const { asked } = answerAll();
    const { ask, run } = await openAiClient({ openaiRoutes: "all", shared: true });
    expect((await ask("/sleep", sleep)).status).toBe(403);
    const job = await run('{"openai_route":"/sleep","openai_input":{"a":1}}');
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("POST /sleep") });
    expect(asked).toEqual([]);
  });

  it("ceases to hold for what comes, and for what waits, when the endpoint becomes shared", async () => {
    const { asked } = answerAll();
    const { run, tenant } = await openAiClient({ openaiRoutes: "all" });
    expect(await run('{"openai_route":"/sleep","openai_input":{"a":1}}')).toMatchObject({ status: "COMPLETED" });
    await env.DB.prepare("UPDATE endpoints SET shared = 1, version = version + 1 WHERE id = ?")
      .bind(tenant.endpointId)
      .run();
    const settings = await loadEndpointSettings(env.DB, tenant.endpointId);
    if (settings === null) throw new Error("the endpoint is gone");
    await brokerOf(env, tenant.endpointId).configure(settings);
    // The edge still has the endpoint as it was: what counts at last is the broker's lease.
    const job = await run('{"openai_route":"/wake_up","openai_input":{"a":1}}');
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("POST /wake_up") });
    expect(asked).toHaveLength(1);
  });
});

describe("a request for a response", () => {
  const respond = async (body: string, routes = "inference", headers: Record<string, string> = JSON_TYPE) => {
    const server = answerAll();
    const { ask, run } = await openAiClient({ openaiRoutes: routes });
    const answer = await ask("/v1/responses", { method: "POST", headers, body });
    return { ...server, run, status: answer.status, answer: await answer.json() };
  };

  it.each([
    ['{"model":"m","input":"hi"}', '{"model":"m","input":"hi","store":false}'],
    ['{"store":false,"input":"hi"}', '{"store":false,"input":"hi"}'],
    ["{}", '{"store":false}'],
    ["{ }\n", '{ "store":false}'],
    [
      '{"previous_response_id":null,"background":false}',
      '{"previous_response_id":null,"background":false,"store":false}',
    ],
    ['{"seed":12345678901234567890,"x":1.0}', '{"seed":12345678901234567890,"x":1.0,"store":false}'],
  ])("%s is made to keep nothing, and stays as it is otherwise", async (body, sent) => {
    const { status, bodies } = await respond(body);
    expect(status).toBe(200);
    expect(bodies).toEqual([sent]);
  });

  it.each([
    ["store", '{"store":true}'],
    ["store", '{"store":null}'],
    ["store", '{"st\\u006fre":true}'],
    ["STORE", '{"store":false,"STORE":true}'],
    ["ſtore", '{"store":false,"ſtore":true}'],
    ["previous_response_id", '{"previous_response_id":"resp_1"}'],
    ["conversation", '{"conversation":{"id":"conv_1"}}'],
    ["background", '{"background":true}'],
  ])("that names %s for what is stored is refused: %s", async (field, body) => {
    const { status, answer, asked, run } = await respond(body);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ error: { param: field, message: expect.stringContaining("keeps no responses") } });
    const job = await run(`{"openai_route":"/v1/responses","openai_input":${body}}`);
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining(`openai_input.${field}: must be`) });
    expect(asked).toEqual([]);
  });

  it.each(['{"store":true,"store":false}', '{"store":false,"store":true}'])(
    "that says two things of store is refused: %s",
    async (body) => {
      const { status, asked, run } = await respond(body);
      expect(status).toBe(400);
      const job = await run(`{"openai_route":"/v1/responses","openai_input":${body}}`);
      expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("openai_input.store: must be") });
      expect(asked).toEqual([]);
    },
  );

  it("is refused under another type than JSON, which its server may read as JSON all the same", async () => {
    const { status, asked } = await respond('{"store":true}', "inference", {
      "content-type": "application/octet-stream",
    });
    expect([status, asked]).toEqual([415, []]);
  });

  it("of a job of its own is made to keep nothing, too", async () => {
    const { bodies } = answerAll();
    const { run } = await openAiClient();
    expect(await run('{"openai_route":"/v1/responses","openai_input":{"input":"hi"}}')).toMatchObject({
      status: "COMPLETED",
    });
    expect(bodies).toEqual(['{"input":"hi","store":false}']);
  });

  const disguised = [
    "/v1/./responses",
    "/v1/x/../responses",
    "/v1/%2e/responses",
    "/v1\\\\responses",
    "/v1/x/%2e%2E/responses",
  ];
  it.each(disguised)("of a job is not reached past that by the path %s", async (route) => {
    const { asked } = answerAll();
    const { run } = await openAiClient();
    const job = await run(`{"openai_route":"${route}","openai_input":{"input":"hi","store":true}}`);
    expect(job).toMatchObject({ status: "FAILED", error: expect.stringContaining("openai_input.store") });
    expect(asked).toEqual([]);
  });

  it("passes as it is where the operator has opened the routes of stored ones", async () => {
    const body = '{"store":true,"previous_response_id":"resp_1"}';
    const { bodies } = await respond(body, "inference,GET /v1/responses/*");
    expect(bodies).toEqual([body]);
  });

  it("that is large is looked at as it streams by", async () => {
    const large = "x".repeat(400_000);
    const { bodies } = await respond(`{"input":"${large}"}`);
    expect(bodies[0]?.endsWith('x","store":false}')).toBe(true);
    vi.restoreAllMocks();
    const refused = await respond(`{"input":"${large}","store":true}`);
    expect([refused.status, refused.asked]).toEqual([400, []]);
  });
});
