// Paths with empty segments, which clients make that join a path to a base URL with a slash at its end.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { signCallback } from "../../../src/dispatch/callback-mac.ts";
import { readPath } from "../../../src/http/kit/path.ts";
import { ROUTES } from "../../../src/http/routes.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makePulling } from "../../support/pulling.ts";

const JSON_TYPE = { "content-type": "application/json" };

afterEach(() => vi.restoreAllMocks());

/** Asks with a client's key, or with another one. */
function ask(path: string, key: string, body?: string): Promise<Response> {
  const init = body === undefined ? {} : { method: "POST", body };
  const headers = { authorization: `Bearer ${key}`, ...JSON_TYPE };
  return exports.default.fetch(new Request(`https://waybill.test${path}`, { ...init, headers }));
}

/** The ways in which a client writes a path when its base URL ends with a slash, or when it ends a path with one. */
function spellings(path: string): string[] {
  const at = path.indexOf("/", 1);
  return [`/${path}`, `${path.slice(0, at)}/${path.slice(at)}`, `${path}/`, `${path.replaceAll("/", "//")}///`];
}

describe("a path with empty segments", () => {
  const paths = ROUTES.map(({ path }) => path).filter((path) => /^\/v[12]\//.test(path));
  // Refused polls are held 5 s each.
  it.concurrent.each(paths)("reaches the same route: %s", { timeout: 20_000 }, async (path) => {
    // Only the path of a route has 405 for a method that no route has; the OpenAI routes check the key first.
    const asked = path.replace(/:\w+/g, "x").replace("*", "v1/models");
    const statuses = await Promise.all(
      [asked, ...spellings(asked)].map(async (spelling) => {
        const url = `https://waybill.test${spelling}?a=//b/`;
        return (await exports.default.fetch(new Request(url, { method: "PROPFIND" }))).status;
      }),
    );
    expect(statuses).toEqual(Array(5).fill(path.includes("/openai/") ? 401 : 405));
  });

  it("is a client's: a job is made, read and ended, and `location` has the plain path", async () => {
    const { tenant } = await makePulling();
    const base = `/v2//${tenant.endpointId}`;
    const made = await ask(`/${base}/run/`, tenant.key, '{"input":1}');
    expect(made.status).toBe(200);
    const { id } = (await made.json()) as { id: string };
    expect(await (await ask(`${base}/status/${id}/`, tenant.key)).json()).toMatchObject({ id, status: "IN_QUEUE" });
    expect((await ask(`/v2/${tenant.endpointId}/health/`, tenant.key)).status).toBe(200);
    expect(await (await ask(`//v1/jobs//${id}/`, tenant.key)).json()).toMatchObject({ id });
    expect((await ask(`${base}//cancel/${id}/?x=/`, tenant.key, "")).status).toBe(200);
    const sync = await ask(`${base}/runsync/?wait=1000`, tenant.key, '{"input":1}');
    const syncId = sync.headers.get("x-job-id");
    expect(sync.headers.get("location")).toBe(`/v2/${tenant.endpointId}/status/${syncId}`);
    await sync.body?.cancel();
  });

  it("is a pulling worker's: it takes a job and posts its result", async () => {
    const pulling = await makePulling();
    const id = await pulling.submit("1");
    const taken = await pulling.asWorker("/job-take/WORKER/?gpu=SIM&job_in_progress=0");
    expect(await taken.json()).toMatchObject({ id });
    expect((await pulling.asWorker("/ping//WORKER?gpu=SIM")).status).toBe(200);
    const done = await pulling.asWorker(`job-done//WORKER/${id}/?gpu=SIM&isStream=false`, { body: '{"output":2}' });
    expect(done.status).toBe(200);
    expect(await pulling.status(id)).toMatchObject({ status: "COMPLETED", output: 2 });
  });

  it("is an upstream's callback, whose MAC still proves it", async () => {
    const { tenant } = await makePulling();
    const { endpointId } = tenant;
    const [jobId, lease] = ["01900000-0000-7000-8000-000000000000-u1", crypto.randomUUID()];
    const mac = await signCallback(env.PEPPER, { endpointId, jobId, lease });
    const nudged = vi.spyOn(EndpointBroker.prototype, "nudge");
    const call = (proof: string) => ask(`//v2//${endpointId}/callback/${jobId}/${lease}/${proof}/`, "", "{}");
    expect((await call(mac.replace(/^./, (digit) => (digit === "0" ? "1" : "0")))).status).toBe(404);
    expect(nudged).not.toHaveBeenCalled();
    expect((await call(mac)).status).toBe(200);
    expect(nudged).toHaveBeenCalledOnce();
  });

  it("is 404 where a name is missing, and none of a load-balanced endpoint", async () => {
    const { tenant } = await makePulling();
    for (const path of ["//v2//health", `/v2/${tenant.endpointId}/status//`, "/v1/jobs/", "//lb/x/y"])
      expect((await ask(path, tenant.key)).status, path).toBe(404);
  });
});

describe("an OpenAI path with empty segments", () => {
  const BODY = '{"model":"m","messages":[]}';

  it.each(["/v1//chat/completions", "//v1/chat/completions/", "/v1/chat//completions//"])(
    "is checked, kept and sent as its plain path: %s",
    async (path) => {
      const asked: string[] = [];
      answerUpstreams((request) => {
        asked.push(`${request.method} ${request.url}`);
        return Response.json({ ok: true });
      });
      const submit = vi.spyOn(EndpointBroker.prototype, "submit");
      const client = await openAiClient();
      const answer = await client.ask(`${path}?a=//b/`, { method: "POST", headers: JSON_TYPE, body: BODY });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({ ok: true });
      expect(asked).toEqual(["POST http://127.0.0.1:9/v1/chat/completions?a=//b/"]);
      expect(JSON.stringify(submit.mock.calls)).toContain('"path":"/v1/chat/completions"');
    },
  );

  it("is refused by its plain path where the route is closed", async () => {
    const submit = vi.spyOn(EndpointBroker.prototype, "submit");
    const { ask: openAi } = await openAiClient({ openaiRoutes: "inference,GET /v1/files/*" });
    for (const [method, path, shown] of [
      ["POST", "//sleep//", "POST /sleep is not"],
      ["DELETE", "/v1//models/m/", "DELETE /v1/models/m is not"],
      ["GET", "/v1/files//a/content", "GET /v1/files/a/content is not"],
      ["GET", "/v1//files/", "GET /v1/files is not"],
    ] as const) {
      const answer = await openAi(path, { method });
      expect(answer.status, path).toBe(403);
      expect(await answer.json()).toMatchObject({ error: { message: expect.stringContaining(shown) } });
    }
    expect(submit).not.toHaveBeenCalled();
  });

  it("stays closed to what a later parser could read as another path", async () => {
    const calls = answerUpstreams(() => Response.json({}));
    const { ask: openAi } = await openAiClient({ openaiRoutes: "all" });
    for (const name of [
      "%2f",
      "/%2f/",
      "a%2f/b",
      "a/%2fb",
      "a%2f%2fb",
      "/%2e%2e%2fx",
      "a%5c/",
      "%00//",
      "%0a/",
      "..%2f/x",
    ]) {
      const answer = await openAi(`/v1//models/${name}`);
      expect(answer.status, name).toBe(404);
      expect(await answer.json()).toMatchObject({ error: { type: expect.any(String), message: expect.any(String) } });
    }
    expect(calls).not.toHaveBeenCalled();
  });
});

it("is routed with its dots resolved, though the runtime gives a URL as it came", () => {
  const path = (url: string) => readPath({ url } as Request);
  expect(path("https://waybill.test/v2/ep/openai/v1/../../run/")).toBe("/v2/ep/run");
  expect(path("https://waybill.test/v2//ep/%2e%2E//run")).toBe("/v2/run");
  expect(path("https://waybill.test///")).toBe("/");
  expect(path("*")).toBe("/");
});
