// What RunPod's clients rely on: exact answers of the routes, with the real broker and no worker that takes jobs.
import { abortAllDurableObjects } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { TestTenant } from "../../support/tenant.ts";
import { makeTenant } from "../../support/tenant.ts";

const accepted = z.strictObject({ id: z.string(), status: z.string() });

let tenant: TestTenant;

beforeAll(async () => {
  tenant = await makeTenant({ upstreams: [] });
});

function send(method: string, route: string, body?: BodyInit, headers: Record<string, string> = {}): Promise<Response> {
  const request = new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, {
    method,
    headers: { authorization: `Bearer ${tenant.key}`, "content-type": "application/json", ...headers },
    ...(body === undefined ? {} : { body }),
  });
  return exports.default.fetch(request);
}

async function run(body = '{"input":{}}', headers: Record<string, string> = {}): Promise<string> {
  const response = await send("POST", "run", body, headers);
  expect(response.status).toBe(200);
  const { id, status } = accepted.parse(await response.json());
  expect(status).toBe("IN_QUEUE");
  return id;
}

describe("run", () => {
  it("answers exactly 200 with exactly id and status", async () => {
    expect(await run()).toMatch(/^[0-9a-f-]{36}-u1$/);
  });

  it("takes the bare key, any JSON value as input, a null webhook and fields it does not know", async () => {
    const body = '{"input":[1.10],"webhook":null,"policy":{"ttl":60000,"extra":1},"s3Config":{},"note":"x"}';
    expect(await run(body, { authorization: tenant.key })).toMatch(/-u1$/);
  });

  it("gives the same job for the same Idempotency-Key, in quotes or not, and refuses another body", async () => {
    const key = crypto.randomUUID();
    const first = await run('{"input":1}', { "idempotency-key": key });
    const again = await run('{"input":1}', { "idempotency-key": `"${key}"` });
    expect(again).toBe(first);
    const other = await send("POST", "run", '{"input":2}', { "idempotency-key": key });
    expect(other.status).toBe(422);
  });

  it("stores a large input once and deletes the copy of a repeated call", async () => {
    const body = `{"input":"${"x".repeat(1_000_000)}"}`;
    const key = crypto.randomUUID();
    const id = await run(body, { "idempotency-key": key });
    expect(await run(body, { "idempotency-key": key })).toBe(id);
    const kept = await env.PAYLOADS.list({ prefix: `${tenant.endpointId}/` });
    expect(kept.objects.map((object) => object.key.split("/")[1])).toEqual([id]);
  });
});

describe("a waiting job", () => {
  it("says why it waits, and nothing that it does not know", async () => {
    const id = await run();
    for (const method of ["GET", "POST"]) {
      const response = await send(method, `status/${id}`);
      expect(response.status).toBe(200);
      const body = z.record(z.string(), z.unknown()).parse(await response.json());
      expect(Object.keys(body)).toEqual(["id", "queue", "status"]);
      expect(body).toMatchObject({ id, status: "IN_QUEUE", queue: { reason: "NO_WORKERS" } });
    }
  });

  it("is answered by runsync and status-sync with 200 when the wait is over", async () => {
    const response = await send("POST", "runsync?wait=1000", '{"input":{}}');
    expect(response.status).toBe(200);
    const { id, status } = accepted.loose().parse(await response.json());
    expect(id).toMatch(/^sync-[0-9a-f-]{36}-u1$/);
    expect(status).toBe("IN_QUEUE");
    const again = await send("POST", `status-sync/${id}?wait=1000`);
    expect(await again.json()).toMatchObject({ id, status: "IN_QUEUE" });
  });

  it("is cancelled by a call with an empty body, and stays cancelled", async () => {
    const id = await run();
    for (const body of ["", "{}", "nonsense"]) {
      const response = await send("POST", `cancel/${id}`, body);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ id, status: "CANCELLED" });
    }
    const retry = await send("POST", `retry/${id}`, "");
    expect(retry.status).toBe(400);
    expect(await retry.json()).toMatchObject({ error: expect.any(String), message: expect.any(String) });
  });

  it("ends a held status-sync when it is cancelled", async () => {
    const id = await run();
    const held = send("GET", `status-sync/${id}?wait=60000`);
    await send("POST", `cancel/${id}`);
    expect(await (await held).json()).toMatchObject({ id, status: "CANCELLED" });
  });
});

describe("the queue", () => {
  it("is counted by health and depth, listed by requests, and emptied by purge-queue", async () => {
    await send("POST", "purge-queue");
    const id = await run();
    const health = await send("GET", "health");
    expect(await health.json()).toMatchObject({
      jobs: { inProgress: 0, inQueue: 1, retried: 0 },
      workers: { idle: 0, initializing: 0, ready: 0, running: 0, throttled: 0, unhealthy: 0 },
    });
    const listed = z
      .object({ requests: z.array(accepted.loose()) })
      .parse(await (await send("GET", "requests")).json());
    expect(listed.requests.filter((job) => job.status === "IN_QUEUE").map((job) => job.id)).toEqual([id]);
    const purged = await send("POST", "purge-queue", "");
    expect(await purged.json()).toEqual({ removed: 1, status: "completed" });
  });
});

describe("a tenant's limit of 50 waiting jobs", () => {
  it("refuses the 51st with Retry-After, leaves another tenant alone, and gives a place back by a cancel", async () => {
    const limited = await makeTenant({ upstreams: [], waitingMax: 50, shared: true });
    const other = await makeTenant({ upstreams: [] });
    const ask = async (key: string, route: string, body: string) => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const url = `https://waybill.test/v2/${limited.endpointId}/${route}`;
      return exports.default.fetch(new Request(url, { method: "POST", headers, body }));
    };
    const ids: string[] = [];
    for (let made = 0; made < 50; made += 1) {
      const submitted = await ask(limited.key, "run", '{"input":{}}');
      ids.push(accepted.parse(await submitted.json()).id);
    }
    const refused = await ask(limited.key, "run", '{"input":{}}');
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "5"]);
    expect(await refused.json()).toMatchObject({ error: "tenant limit", message: expect.stringContaining("50") });
    await abortAllDurableObjects();
    expect((await ask(limited.key, "runsync?wait=1000", '{"input":{}}')).status).toBe(429);
    expect((await ask(other.key, "run", '{"input":{}}')).status).toBe(200);
    expect(await (await ask(limited.key, `cancel/${ids[7]}`, "")).json()).toMatchObject({ status: "CANCELLED" });
    expect((await ask(limited.key, "run", '{"input":{}}')).status).toBe(200);
    expect((await ask(limited.key, "run", '{"input":{}}')).status).toBe(429);
    expect(await (await ask(limited.key, "purge-queue", "")).json()).toMatchObject({ removed: 50 });
  });
});

describe("a shared endpoint", () => {
  it("counts for each tenant only its own jobs, in depth too", async () => {
    const owner = await makeTenant({ upstreams: [], shared: true });
    const guest = await makeTenant({ upstreams: [] });
    const ask = async (key: string, path: string, body?: string) => {
      const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
      const init = body === undefined ? { headers } : { method: "POST", headers, body };
      return exports.default.fetch(new Request(`https://waybill.test${path}`, init));
    };
    for (const key of [guest.key, guest.key, owner.key]) {
      expect((await ask(key, `/v2/${owner.slug}/run`, '{"input":{}}')).status).toBe(200);
    }
    const depth = async (key: string) => {
      const { endpoints } = z
        .object({ endpoints: z.array(z.object({ endpointId: z.string(), waiting: z.number() })) })
        .parse(await (await ask(key, "/v1/depth")).json());
      return endpoints.find(({ endpointId }) => endpointId === owner.endpointId)?.waiting;
    };
    expect(await depth(guest.key)).toBe(2);
    expect(await depth(owner.key)).toBe(1);
    expect(await depth(tenant.key)).toBe(0);
    expect(await (await ask(guest.key, `/v2/${owner.slug}/purge-queue`, "")).json()).toMatchObject({ removed: 2 });
    expect(await depth(owner.key)).toBe(1);
  });
});

describe("an operator", () => {
  it("pushes the settings of an endpoint to its broker", async () => {
    const operator = await makeTenant({ upstreams: [], scopes: ["admin"] });
    const headers = { authorization: `Bearer ${operator.key}` };
    const push = (body: string) =>
      exports.default.fetch(new Request("https://waybill.test/v1/admin/configure", { method: "POST", headers, body }));
    const done = await push(JSON.stringify({ endpointId: tenant.endpointId }));
    expect(done.status).toBe(200);
    expect(await done.json()).toEqual({ endpointId: tenant.endpointId, version: 1 });
    expect((await push('{"endpointId":"nowhere"}')).status).toBe(404);
    expect((await push('{"endpointId":7}')).status).toBe(400);
    expect((await push("[")).status).toBe(400);
  });

  it("who sends too much has all of it taken, and hears of it", async () => {
    const operator = await makeTenant({ upstreams: [], scopes: ["admin"] });
    const headers = { authorization: `Bearer ${operator.key}` };
    const { readable, writable } = new IdentityTransformStream();
    const init = { method: "POST", headers, body: readable };
    const answering = exports.default.fetch(new Request("https://waybill.test/v1/admin/configure", init));
    const writer = writable.getWriter();
    for (let piece = 0; piece < 40; piece += 1) await writer.write(new Uint8Array(10_000).fill(0x20));
    await writer.close();
    expect((await answering).status).toBe(413);
  });
});

describe("the server", () => {
  it.each(["/", "/healthz"])("says that it is up at %s", async (path) => {
    const response = await exports.default.fetch(new Request(`https://waybill.test${path}`));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ ok: true });
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  });
});
