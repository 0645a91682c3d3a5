// Wrong requests: each is answered with the right 4xx, names what was wrong, and makes no job.
import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import { POLICY_MAX_MS, RUN_BODY_MAX_BYTES, RUNSYNC_BODY_MAX_BYTES } from "../../../src/core/limits.ts";
import type { TestTenant } from "../../support/tenant.ts";
import { makeTenant } from "../../support/tenant.ts";

let tenant: TestTenant;

beforeAll(async () => {
  tenant = await makeTenant({ upstreams: [{ url: "http://127.0.0.1:9/job", dialect: "http" }] });
});

interface Wrong {
  readonly name: string;
  readonly method?: string;
  /** Behind `/v2/<endpoint>` unless it starts with `//`, which stands for the root. */
  readonly path: string;
  readonly body?: BodyInit;
  readonly headers?: Record<string, string>;
  readonly status: number;
  readonly field?: string;
}

const job = '{"input":{}}';
const unknownId = "0193a0f2-7b1c-7def-8a11-0123456789ab-u1";
const withPolicy = (policy: string) => `{"input":{},"policy":${policy}}`;
const withWebhook = (webhook: string) => `{"input":{},"webhook":${webhook}}`;
const withMetadata = (metadata: string) => `{"input":{},"metadata":${metadata}}`;
const bad = (name: string, body: BodyInit, field: string): Wrong => ({
  name,
  method: "POST",
  path: "/run",
  body,
  status: 400,
  field,
});
const badKey = (name: string, key: string): Wrong => ({
  ...bad(name, job, "Idempotency-Key"),
  headers: { "idempotency-key": key },
});
const badWait = (query: string): Wrong => ({ ...bad(query, job, "?wait"), path: `/runsync${query}` });
const badType = (type: string): Wrong => ({
  name: `a body of ${type}`,
  method: "POST",
  path: "/run",
  body: job,
  headers: { "content-type": type },
  status: 415,
});
const notFound = (name: string, path: string, method = "GET"): Wrong => ({ name, method, path, status: 404 });
const otherMethod = (method: string, path: string): Wrong => ({ name: `${method} ${path}`, method, path, status: 405 });

const bodies: Wrong[] = [
  { ...bad("no body", "", "body") },
  bad("a blank body", "  \n", "body"),
  bad("half an object", '{"input":', "body"),
  bad("text after the object", `${job} x`, "body"),
  bad("two objects", job + job, "body"),
  bad("an array", "[1]", "body"),
  bad("a string", '"input"', "body"),
  bad("null", "null", "body"),
  bad("a trailing comma", '{"input":{},}', "body"),
  bad("single quotes", "{'input':{}}", "body"),
  bad("NaN", '{"input":NaN}', "body"),
  bad("bytes that are no UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]), "body"),
  bad("JSON nested too deep", `{"input":${"[".repeat(5_000)}${"]".repeat(5_000)}}`, "body"),
  bad("fields that are too large", `{"input":{},"note":"${"x".repeat(100_000)}"}`, "body"),
  bad("no input", "{}", "input"),
  bad("an input by another name", '{"Input":{}}', "input"),
  bad("a policy that is a string", withPolicy('"fast"'), "policy"),
  bad("a policy that is an array", withPolicy("[]"), "policy"),
  bad("a policy that is null", withPolicy("null"), "policy"),
  bad("a ttl in text", withPolicy('{"ttl":"10000"}'), "policy.ttl"),
  bad("a ttl under the minimum", withPolicy('{"ttl":9999}'), "policy.ttl"),
  bad("a ttl over the maximum", withPolicy(`{"ttl":${POLICY_MAX_MS + 1}}`), "policy.ttl"),
  bad("a broken ttl", withPolicy('{"ttl":10000.5}'), "policy.ttl"),
  bad("a negative ttl", withPolicy('{"ttl":-10000}'), "policy.ttl"),
  bad("a ttl of null", withPolicy('{"ttl":null}'), "policy.ttl"),
  bad("a ttl beyond all integers", withPolicy('{"ttl":1e308}'), "policy.ttl"),
  bad("a ttl that overflows", withPolicy('{"ttl":1e999}'), "policy.ttl"),
  bad("an execution timeout under the minimum", withPolicy('{"executionTimeout":4999}'), "policy.executionTimeout"),
  bad("an execution timeout of true", withPolicy('{"executionTimeout":true}'), "policy.executionTimeout"),
  bad(
    "an execution timeout over the maximum",
    withPolicy(`{"executionTimeout":${POLICY_MAX_MS + 1}}`),
    "policy.executionTimeout",
  ),
  bad(
    "an execution timeout that no held call can keep",
    withPolicy('{"executionTimeout":840001}'),
    "policy.executionTimeout",
  ),
  bad("a low priority of 1", withPolicy('{"lowPriority":1}'), "policy.lowPriority"),
  bad("an empty webhook", withWebhook('""'), "webhook"),
  bad("a webhook that is a number", withWebhook("7"), "webhook"),
  bad("a webhook that is an object", withWebhook("{}"), "webhook"),
  bad("a webhook that is no URL", withWebhook('"not a url"'), "webhook"),
  bad("a webhook without a scheme", withWebhook('"example.com/hook"'), "webhook"),
  bad("a webhook to a file", withWebhook('"file:///etc/passwd"'), "webhook"),
  bad("a webhook with ftp", withWebhook('"ftp://example.com/"'), "webhook"),
  bad("an s3Config that is a string", '{"input":{},"s3Config":"bucket"}', "s3Config"),
  bad("an s3Config that is an array", '{"input":{},"s3Config":[]}', "s3Config"),
  bad("metadata that is a list", withMetadata('["red"]'), "metadata"),
  bad("metadata of over 1,024 bytes", withMetadata(`{"note":"${"x".repeat(1_014)}"}`), "metadata"),
  bad("metadata with a tag that is a number", withMetadata('{"order":7}'), "metadata.order"),
  { ...bad("metadata of a /runsync that is a string", withMetadata('"red"'), "metadata"), path: "/runsync" },
];

const headers: Wrong[] = [
  badKey("an empty key", ""),
  badKey("a key of 256 characters", "k".repeat(256)),
  badKey("two keys", "one, two"),
  badKey("two quoted keys", '"one", "two"'),
  badKey("a key with a space", "one two"),
  badKey("half a quoted key", '"one'),
  badType("application/x-www-form-urlencoded"),
  badType("multipart/form-data; boundary=x"),
  badType("application/xml"),
  badType("application/octet-stream"),
  badType("application/json; charset=utf-16"),
  {
    name: "a compressed body",
    method: "POST",
    path: "/run",
    body: job,
    headers: { "content-encoding": "gzip" },
    status: 415,
  },
  {
    name: "a run body that is too large",
    method: "POST",
    path: "/run",
    body: `{"input":"${"x".repeat(RUN_BODY_MAX_BYTES)}"}`,
    status: 413,
  },
  {
    name: "a runsync body that is too large",
    method: "POST",
    path: "/runsync",
    body: `{"input":"${"x".repeat(RUNSYNC_BODY_MAX_BYTES)}"}`,
    status: 413,
  },
];

const queries: Wrong[] = [
  badWait("?wait="),
  badWait("?wait=999"),
  badWait("?wait=300001"),
  badWait("?wait=-5000"),
  badWait("?wait=5e3"),
  badWait("?wait=5000.0"),
  badWait("?wait=0x1388"),
  badWait("?wait=soon"),
  badWait("?wait=99999999999999999999"),
  badWait("?wait=5000&wait=6000"),
  { name: "a short wait on a job", path: `/status-sync/${unknownId}?wait=1`, status: 400, field: "?wait" },
  { name: "a short ttl", path: `/status/${unknownId}?ttl=9999`, status: 400, field: "?ttl" },
  { name: "a ttl of text", path: `/status/${unknownId}?ttl=never`, status: 400, field: "?ttl" },
  { name: "a doubled ttl", path: `/status/${unknownId}?ttl=10000&ttl=10000`, status: 400, field: "?ttl" },
];

const paths: Wrong[] = [
  notFound("an unknown route", "/walk", "POST"),
  otherMethod("GET", "/run/"),
  notFound("an encoded slash", `/status/${unknownId}%2F`),
  notFound("an encoded backslash", `/status/${unknownId}%5C`),
  notFound("an encoded zero byte", `/status/${unknownId}%00`),
  notFound("a broken escape", "/status/%zz"),
  notFound("an endpoint without a name", "//v2//health"),
  notFound("an empty id", "/status/"),
  notFound("no id", "/status"),
  notFound("a segment too many", `/status/${unknownId}/output`),
  notFound("an id that is no id", "/status/1"),
  notFound("an id of another shard", `/status/${unknownId.replace("-u1", "-u2")}`),
  notFound("an id in upper case", `/status/${unknownId.toUpperCase()}`),
  notFound("an id that tries SQL", "/status/'%20or%20'1'='1"),
  notFound("an unknown id", `/status/${unknownId}`),
  notFound("an unknown id, waited for", `/status-sync/${unknownId}?wait=1000`),
  notFound("cancel of an unknown id", `/cancel/${unknownId}`, "POST"),
  notFound("retry of an unknown id", `/retry/${unknownId}`, "POST"),
  notFound("an unknown endpoint", "//v2/nowhere/run", "POST"),
  notFound("an endpoint with a very long name", `//v2/${"e".repeat(3_000)}/health`),
  otherMethod("GET", "/run"),
  otherMethod("PUT", "/runsync"),
  otherMethod("DELETE", `/status/${unknownId}`),
  otherMethod("GET", `/cancel/${unknownId}`),
  otherMethod("GET", `/retry/${unknownId}`),
  otherMethod("GET", "/purge-queue"),
  otherMethod("POST", "/health"),
  otherMethod("POST", "/requests"),
  otherMethod("POST", "//v1/depth"),
  otherMethod("GET", "//v1/admin/configure"),
  { name: "a key without the scope", method: "POST", path: "//v1/admin/configure", body: "{}", status: 403 },
];

async function send(wrong: Wrong): Promise<Response> {
  const path = wrong.path.startsWith("//") ? wrong.path.slice(1) : `/v2/${tenant.endpointId}${wrong.path}`;
  const method = wrong.method ?? "GET";
  return exports.default.fetch(
    new Request(`https://waybill.test${path}`, {
      method,
      headers: { authorization: `Bearer ${tenant.key}`, "content-type": "application/json", ...wrong.headers },
      ...(wrong.body === undefined ? {} : { body: wrong.body }),
    }),
  );
}

describe("a wrong request", () => {
  it.each([...bodies, ...headers, ...queries, ...paths])("with $name is refused with $status", async (wrong) => {
    const response = await send(wrong);
    const text = await response.text();
    expect(response.status, text).toBe(wrong.status);
    expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
    if (wrong.status === 405) expect(response.headers.get("allow")).toMatch(/GET|POST/);
    const body: unknown = JSON.parse(text);
    if (wrong.path.startsWith("//v1/")) {
      // Under /v1 a failure is a problem of RFC 9457.
      expect(response.headers.get("content-type")).toBe("application/problem+json");
      expect(body).toMatchObject({ title: expect.any(String), status: wrong.status, detail: expect.any(String) });
      return;
    }
    expect(response.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(body).toMatchObject({ error: expect.any(String), message: expect.any(String) });
    if (wrong.field === undefined) return;
    expect(body).toMatchObject({ field: wrong.field, error: expect.stringContaining(wrong.field) });
    const { error } = z.object({ error: z.string() }).parse(body);
    expect(error.split(/[^\w.?-]+/).filter((word) => word === wrong.field)).toHaveLength(1);
  });

  it("makes no job and leaves nothing in storage", async () => {
    const response = await send({ name: "requests", path: "/requests", status: 200 });
    expect(await response.json()).toEqual({ requests: [] });
    expect((await env.PAYLOADS.list({ prefix: `${tenant.endpointId}/` })).objects).toEqual([]);
  });
});

describe("a request without a good key", () => {
  const keys = [
    "",
    "Bearer",
    "Bearer ",
    "Bearer x",
    "Basic dXNlcjpwYXNz",
    "wb_live_none",
    `Bearer wb_live_${"x".repeat(9_000)}`,
  ];
  const routes = [
    ["POST", "run"],
    ["POST", "runsync"],
    ["GET", `status/${unknownId}`],
    ["GET", `status-sync/${unknownId}`],
    ["POST", `cancel/${unknownId}`],
    ["POST", `retry/${unknownId}`],
    ["POST", "purge-queue"],
    ["GET", "health"],
    ["GET", "requests"],
  ] as const;

  it.each(routes)("is refused with 401: %s %s", async (method, route) => {
    for (const authorization of keys) {
      for (const endpointId of [tenant.endpointId, "nowhere"]) {
        const response = await exports.default.fetch(
          new Request(`https://waybill.test/v2/${endpointId}/${route}`, { method, headers: { authorization } }),
        );
        expect(response.status, authorization).toBe(401);
        expect(response.headers.get("www-authenticate")).toBe("Bearer");
        expect(await response.json()).toMatchObject({ error: "unauthorized" });
      }
    }
  });
});
