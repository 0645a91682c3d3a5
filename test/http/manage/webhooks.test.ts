// /v1/webhooks over HTTP: rotation of the secret, the log of tries, dead webhooks that are sent again.
import { env, exports } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { keepDeadLetter } from "../../../src/db/dead-letters.ts";
import { deadBodyKey } from "../../../src/dispatch/webhook-body.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const POLL = { timeout: 10_000, interval: 20 };

afterEach(() => vi.restoreAllMocks());

/** A tenant whose jobs are done at once, and whose receiver keeps what it gets. */
async function scene(receive: () => Response = () => new Response(null, { status: 204 })) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"], upstreams: [{ dialect: "http" }] });
  const received: { readonly headers: Record<string, string>; readonly body: string }[] = [];
  answerUpstreams(async (request) => {
    if (new URL(request.url).hostname !== "hook.test") return Response.json({ done: true });
    received.push({ headers: Object.fromEntries(request.headers), body: await request.text() });
    return receive();
  });
  const run = async () => {
    const headers = { authorization: tenant.key, "content-type": "application/json" };
    const body = JSON.stringify({ input: {}, webhook: "http://hook.test/" });
    await exports.default.fetch(`https://waybill.test/v2/${tenant.slug}/runsync`, { method: "POST", headers, body });
  };
  return { ...tenant, received, run };
}

describe("the secret of a tenant's webhooks", () => {
  it("is rotated with an overlap in which both verify", async () => {
    const { key, webhookSecret, received, run } = await scene();
    const rotated = await manage(key, "POST", "/v1/webhooks/secret/rotate", { overlapSeconds: 3_600 });
    expect(rotated).toMatchObject({ status: 201, body: { secret: expect.stringMatching(/^whsec_/) } });
    await run();
    await vi.waitFor(() => expect(received).toHaveLength(1), POLL);
    const [hook] = received;
    for (const secret of [webhookSecret, rotated.body.secret]) {
      expect(() => new Webhook(secret).verify(hook?.body ?? "", hook?.headers ?? {})).not.toThrow();
    }
    const state = await manage(key, "GET", "/v1/webhooks/secret");
    expect(state.body).toEqual({ formerValidUntil: rotated.body.formerValidUntil });
  });

  it("is shown once, also where the rotation is repeated, and is in no audit line", async () => {
    const { key } = await scene();
    const headers = { "idempotency-key": crypto.randomUUID() };
    const first = await manage(key, "POST", "/v1/webhooks/secret/rotate", { overlapSeconds: 0 }, headers);
    const again = await manage(key, "POST", "/v1/webhooks/secret/rotate", { overlapSeconds: 0 }, headers);
    expect(again).toMatchObject({ status: 201, body: { formerValidUntil: null } });
    expect(again.body.secret).toBeUndefined();
    const audit = await manage(key, "GET", "/v1/audit?limit=1");
    expect(audit.body.lines).toMatchObject([{ action: "webhook_secret.rotate" }]);
    expect(JSON.stringify(audit.body)).not.toContain(first.body.secret);
  });
});

describe("the log of tries", () => {
  it("shows each try with what came of it, newest first, and the caller's alone", async () => {
    const { key, slug, run } = await scene(() => new Response(null, { status: 500 }));
    await run();
    const list = () => manage(key, "GET", `/v1/endpoints/${slug}/deliveries`);
    await vi.waitFor(async () => expect((await list()).body.deliveries).toHaveLength(1), POLL);
    expect((await list()).body).toMatchObject({
      deliveries: [{ try: 1, delivered: false, status: 500, detail: expect.any(String), tookMs: expect.any(Number) }],
      pagination: { hasNextPage: false, nextCursor: null },
    });
    const stranger = await makeTenant({ scopes: ["jobs"] });
    expect((await manage(stranger.key, "GET", `/v1/endpoints/${slug}/deliveries`)).status).toBe(404);
  });
});

describe("a dead webhook", () => {
  it("is sent again by its id, or with the others in steps, and leaves the list when it is delivered", async () => {
    const { key, tenantId, endpointId, received } = await scene();
    const ids = ["msg_one", "msg_two", "msg_three"];
    for (const id of ids) await plantDead(tenantId, endpointId, id);
    const one = await manage(key, "POST", "/v1/webhooks/dead/msg_one/redeliver");
    expect(one).toMatchObject({ status: 200, body: { delivered: true, status: 204 } });
    expect(received[0]?.headers["webhook-id"]).toBe("msg_one");
    const step = await manage(key, "POST", "/v1/webhooks/dead/redeliver", { limit: 1 });
    expect(step.body).toMatchObject({ delivered: 1, failed: 0, remaining: 1, pagination: { hasNextPage: true } });
    const { nextCursor: cursor } = step.body.pagination;
    expect((await manage(key, "POST", "/v1/webhooks/dead/redeliver", { cursor })).body).toMatchObject({
      delivered: 1,
      remaining: 0,
      pagination: { hasNextPage: false, nextCursor: null },
    });
    expect((await manage(key, "POST", "/v1/webhooks/dead/msg_one/redeliver")).status).toBe(404);
  });

  it("is another tenant's as if it were none", async () => {
    const { tenantId, endpointId } = await scene();
    await plantDead(tenantId, endpointId, "msg_foreign");
    const stranger = await makeTenant({ scopes: ["manage"] });
    const foreign = await manage(stranger.key, "POST", "/v1/webhooks/dead/msg_foreign/redeliver");
    const unknown = await manage(stranger.key, "POST", "/v1/webhooks/dead/msg_unknown/redeliver");
    expect(foreign.status).toBe(404);
    expect(foreign.body).toEqual(unknown.body);
  });
});

/** As the sender leaves a webhook that it gives up: the body in R2, then the row. */
async function plantDead(tenantId: string, endpointId: string, webhookId: string): Promise<void> {
  await env.PAYLOADS.put(deadBodyKey(tenantId, webhookId), '{"id":"j"}');
  const letter = { webhookId, endpointId, jobId: "j", url: "http://hook.test/", tries: 9, detail: "500" };
  await keepDeadLetter(env.DB, tenantId, { ...letter, givenUpAtMs: Date.now() }, Date.now());
}
