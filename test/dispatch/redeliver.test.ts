// Dead letters that are sent again: one signed try each, by the tenant's secrets of this moment, oldest first.
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { listDeadLetters } from "../../src/db/dead-letters.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { keepDeadWebhook } from "../../src/dispatch/dead-webhooks.ts";
import { redeliver, redeliverSome } from "../../src/dispatch/redeliver.ts";
import { deadBodyKey } from "../../src/dispatch/webhook-body.ts";
import { makeBroker } from "../support/broker.ts";
import { breakD1 } from "../support/d1.ts";
import { breakR2 } from "../support/r2.ts";
import { makeTenant } from "../support/tenant.ts";
import { deliveryOf, RECEIVER_URL, receiveWebhooks, rotate, verifiedBy } from "../support/webhooks.ts";

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A tenant with a broker, which has no job: the jobs of the letters below are gone. */
async function makeOwner() {
  const { tenantId, webhookSecret } = await makeTenant();
  const { endpointId } = await makeBroker({ tenantId });
  let made = 0;
  /** Gives up a webhook of this tenant. Returns its id. */
  const giveUp = async (url = RECEIVER_URL): Promise<string> => {
    made += 1;
    const jobId = `job-${made}-u1`;
    const webhookId = `msg_${made}_r0`;
    const input = { kind: "inline", bytes: new TextEncoder().encode(`{"made":${made},"t":"\u2028é"}`) } as const;
    const delivery = deliveryOf({ endpointId, jobId, webhookId, tenantId, url, tryNumber: 11, input });
    const givenUp = { tries: 10, detail: "the receiver answered 500", givenUpAtMs: Date.now() };
    expect(await keepDeadWebhook(env, delivery, givenUp)).toBe(true);
    return webhookId;
  };
  const letters = async () => {
    const page = { before: null, limit: 100, nowMs: Date.now() };
    return (await listDeadLetters(env.DB, tenantId, page)).letters;
  };
  const deliveries = async () =>
    (await brokerOf(env, endpointId).listDeliveries({ tenantId, before: null, limit: 100 })).deliveries;
  const body = (webhookId: string) => env.PAYLOADS.head(deadBodyKey(tenantId, webhookId));
  return { tenantId, endpointId, webhookSecret, giveUp, letters, deliveries, body };
}

/** Sends all letters again, call by call; returns what each call answered. */
async function redeliverAll(tenantId: string, limit: number) {
  const answers: { delivered: number; failed: number; remaining: number; next: number | null }[] = [];
  let after: number | null = null;
  do {
    const answer = await redeliverSome(env, tenantId, { after, limit });
    if (!answer.ok) throw new Error("refused");
    answers.push(answer.value);
    after = answer.value.next;
  } while (after !== null);
  return answers;
}

describe("a dead letter that is sent again", () => {
  it("is delivered by a new signature under its id, and leaves the list with its body", async () => {
    const { tenantId, webhookSecret, giveUp, letters, deliveries, body } = await makeOwner();
    const webhookId = await giveUp();
    const other = await giveUp();
    const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
    vi.setSystemTime(Date.now() + 5 * DAY_MS);
    const atMs = Date.now();
    const answer = await redeliver(env, tenantId, webhookId);
    expect(answer).toEqual({
      ok: true,
      value: { delivered: true, status: 204, detail: "the receiver answered 204", tookMs: expect.any(Number) },
    });
    expect(calls).toMatchObject([{ url: RECEIVER_URL, id: webhookId }]);
    expect(calls[0]?.headers["webhook-timestamp"]).toBe(String(Math.floor(atMs / 1_000)));
    expect(verifiedBy(calls[0], webhookSecret)).toEqual([webhookSecret]);
    expect(calls[0]?.text).toContain('"input":{"made":1,"t":"\u2028é"}');

    expect((await letters()).map((letter) => letter.webhookId)).toEqual([other]);
    expect(await body(webhookId)).toBeNull();
    expect(await body(other)).not.toBeNull();
    expect(await deliveries()).toMatchObject([
      { webhookId, jobId: "job-1-u1", tryNumber: 11, delivered: true, status: 204, atMs },
    ]);
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: false, failure: { kind: "not_found" } });
    expect(calls).toHaveLength(1);
  });

  it.each([
    [500, "the receiver answered 500"],
    [410, "the receiver answered 410"],
    [301, "the receiver answered 301; redirects are not followed"],
  ])("stays in the list with its tries and the reason when the receiver answers %i", async (status, detail) => {
    const { tenantId, giveUp, letters, deliveries, body } = await makeOwner();
    const webhookId = await giveUp();
    const headers = { location: "https://elsewhere.example.com/" };
    receiveWebhooks(() => new Response("a secret of somebody else", { status, headers }));
    const answer = await redeliver(env, tenantId, webhookId);
    expect(answer).toMatchObject({ ok: true, value: { delivered: false, status, detail } });
    expect(await letters()).toMatchObject([{ webhookId, tries: 11, detail, redeliverable: true }]);
    expect(await body(webhookId)).not.toBeNull();
    expect(await deliveries()).toMatchObject([{ webhookId, tryNumber: 11, delivered: false, status }]);
    expect(JSON.stringify([answer, await letters(), await deliveries()])).not.toContain("somebody else");
  });

  it("has no status when the receiver cannot be reached", async () => {
    const { tenantId, giveUp } = await makeOwner();
    const webhookId = await giveUp();
    receiveWebhooks(() => {
      throw new Error("connection refused");
    });
    const answer = await redeliver(env, tenantId, webhookId);
    expect(answer).toMatchObject({ ok: true, value: { delivered: false, detail: expect.stringMatching(/receiver/) } });
    expect(answer.ok && "status" in answer.value).toBe(false);
  });

  it("verifies with a secret of a moment ago, and with the former one during the overlap alone", async () => {
    const { tenantId, webhookSecret: first, giveUp } = await makeOwner();
    const calls = receiveWebhooks(() => new Response(null, { status: 500 }));
    const webhookId = await giveUp();
    await redeliver(env, tenantId, webhookId);
    const second = await rotate(tenantId, Date.now() + DAY_MS);
    await redeliver(env, tenantId, webhookId);
    expect(verifiedBy(calls[1], first, second)).toEqual([first, second]);
    vi.setSystemTime(Date.now() + DAY_MS);
    await redeliver(env, tenantId, webhookId);
    expect(verifiedBy(calls[2], first, second)).toEqual([second]);
    expect(new Set(calls.map(({ id }) => id))).toEqual(new Set([webhookId]));
  });

  it("is never sent for another tenant, who gets the same answer as for one that never was", async () => {
    const { giveUp, letters } = await makeOwner();
    const { tenantId: stranger } = await makeOwner();
    const webhookId = await giveUp();
    const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
    expect(await redeliver(env, stranger, webhookId)).toEqual(await redeliver(env, stranger, "msg_none_r0"));
    expect(await redeliverSome(env, stranger, { after: null, limit: 20 })).toEqual({
      ok: true,
      value: { delivered: 0, failed: 0, remaining: 0, next: null },
    });
    expect(calls).toEqual([]);
    expect(await letters()).toMatchObject([{ webhookId, tries: 10 }]);
  });

  it("passes the guard of every webhook", async () => {
    const { tenantId, giveUp } = await makeOwner();
    const webhookId = await giveUp("https://lb.waybill.test/hook");
    const calls = receiveWebhooks(
      () => new Response(null, { status: 204 }),
      () => true,
    );
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({
      ok: true,
      value: { delivered: false, detail: "the URL must not lead to this deployment itself" },
    });
    expect(calls).toEqual([]);
  });

  it("cannot be sent when R2 has no body of it, which the list then shows", async () => {
    const { tenantId, giveUp, letters } = await makeOwner();
    const webhookId = await giveUp();
    const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
    await env.PAYLOADS.delete(deadBodyKey(tenantId, webhookId));
    for (let asked = 0; asked < 2; asked += 1) {
      expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: false, failure: { kind: "wrong_state" } });
      expect(await letters()).toMatchObject([{ webhookId, tries: 10, redeliverable: false }]);
    }
    expect(calls).toEqual([]);
  });

  it("cannot be sent once its body is 30 days old", async () => {
    const { tenantId, giveUp } = await makeOwner();
    const webhookId = await giveUp();
    vi.setSystemTime(Date.now() + 30 * DAY_MS);
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: false, failure: { kind: "wrong_state" } });
  });

  it.each([
    ["D1", breakD1],
    ["R2", breakR2],
  ])("is not sent while %s is down, and can be sent after it", async (_, outageOf) => {
    const { tenantId, giveUp, letters } = await makeOwner();
    const webhookId = await giveUp();
    const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
    const outage = outageOf();
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(calls).toEqual([]);
    outage.heal();
    expect(await letters()).toMatchObject([{ tries: 10, redeliverable: true }]);
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: true, value: { delivered: true } });
  });

  it("is answered as delivered also if D1 goes down meanwhile, and keeps its body while it is listed", async () => {
    const { tenantId, giveUp, letters, body } = await makeOwner();
    const webhookId = await giveUp();
    let outage: { heal: () => void } | undefined;
    receiveWebhooks(() => {
      outage = breakD1();
      return new Response(null, { status: 204 });
    });
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: true, value: { delivered: true } });
    outage?.heal();
    expect(await letters()).toMatchObject([{ webhookId, redeliverable: true }]);
    expect(await body(webhookId)).not.toBeNull();
  });

  it("is sent also when the endpoint's broker does not answer", async () => {
    const { tenantId, giveUp, letters } = await makeOwner();
    const webhookId = await giveUp();
    receiveWebhooks(() => new Response(null, { status: 204 }));
    const broken = {
      noteDelivery: async () => {
        throw new Error("gone");
      },
    };
    const without = { ...env, ENDPOINT_BROKER: { getByName: () => broken } as unknown as Env["ENDPOINT_BROKER"] };
    expect(await redeliver(without, tenantId, webhookId)).toMatchObject({ ok: true, value: { delivered: true } });
    expect(await letters()).toEqual([]);
  });

  it("leaves neither a letter nor a body when its broker, which got no answer, offers it once more", async () => {
    const { tenantId, endpointId, giveUp, letters, body } = await makeOwner();
    const webhookId = await giveUp();
    receiveWebhooks(() => new Response(null, { status: 204 }));
    expect(await redeliver(env, tenantId, webhookId)).toMatchObject({ ok: true });
    const delivery = deliveryOf({ endpointId, tenantId, webhookId, jobId: "job-1-u1", tryNumber: 11 });
    expect(await keepDeadWebhook(env, delivery, { tries: 10, detail: "", givenUpAtMs: Date.now() })).toBe(true);
    expect(await letters()).toEqual([]);
    expect(await body(webhookId)).toBeNull();
  });

  it("brings no secret into an answer, the lists or the log", async () => {
    const lines = vi.spyOn(console, "log");
    const { tenantId, webhookSecret, giveUp, letters, deliveries } = await makeOwner();
    const webhookId = await giveUp();
    receiveWebhooks((call) => new Response(JSON.stringify(call.headers), { status: 500 }));
    const outage = breakR2("delete");
    const answers = [await redeliver(env, tenantId, webhookId), await redeliverSome(env, tenantId, ALL)];
    outage.heal();
    const shown = JSON.stringify([answers, await letters(), await deliveries(), lines.mock.calls]);
    expect(shown).not.toContain(webhookSecret);
    expect(shown).not.toContain(webhookSecret.slice("whsec_".length));
  });
});

const ALL = { after: null, limit: 20 };

describe("dead letters that are sent again together", () => {
  it("are each tried once, oldest first, also where some fail again", async () => {
    const { tenantId, giveUp, letters } = await makeOwner();
    const ids: string[] = [];
    for (let made = 0; made < 13; made += 1) ids.push(await giveUp());
    const failing = new Set(ids.filter((_, at) => at % 3 === 0));
    const calls = receiveWebhooks(({ id }) => new Response(null, { status: failing.has(id ?? "") ? 500 : 204 }));
    const answers = await redeliverAll(tenantId, 5);
    expect(answers).toEqual([
      { delivered: 3, failed: 2, remaining: 8, next: 5 },
      { delivered: 3, failed: 2, remaining: 3, next: 10 },
      { delivered: 2, failed: 1, remaining: 0, next: null },
    ]);
    expect(calls.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
    expect(new Set(calls.slice(0, 5).map(({ id }) => id))).toEqual(new Set(ids.slice(0, 5)));
    expect((await letters()).map(({ webhookId }) => webhookId)).toEqual([...failing].toReversed());
    // The next round begins with those that are left.
    failing.clear();
    expect(await redeliverAll(tenantId, 20)).toEqual([{ delivered: 5, failed: 0, remaining: 0, next: null }]);
    expect(await letters()).toEqual([]);
  });

  it("come to one that is given up meanwhile, and pass over those that cannot be sent", async () => {
    const { tenantId, giveUp } = await makeOwner();
    const ids = [await giveUp(), await giveUp(), await giveUp()];
    const calls = receiveWebhooks(() => new Response(null, { status: 500 }));
    await env.PAYLOADS.delete(deadBodyKey(tenantId, ids[1] ?? ""));
    await redeliver(env, tenantId, ids[1] ?? "");
    const first = await redeliverSome(env, tenantId, { after: null, limit: 1 });
    expect(first).toMatchObject({ ok: true, value: { failed: 1, remaining: 1, next: 1 } });
    const late = await giveUp();
    const rest = await redeliverSome(env, tenantId, { after: 1, limit: 20 });
    expect(rest).toMatchObject({ ok: true, value: { failed: 2, remaining: 0, next: null } });
    expect(calls.map(({ id }) => id)).toEqual([ids[0], ids[2], late]);
  });

  it("are at most 20 a call and six at once", async () => {
    const { tenantId, giveUp } = await makeOwner();
    for (let made = 0; made < 22; made += 1) await giveUp();
    let underWay = 0;
    let most = 0;
    receiveWebhooks(async () => {
      underWay += 1;
      most = Math.max(most, underWay);
      await scheduler.wait(5);
      underWay -= 1;
      return new Response(null, { status: 204 });
    });
    const answer = await redeliverSome(env, tenantId, { after: null, limit: 1_000 });
    expect(answer).toMatchObject({ ok: true, value: { delivered: 20, failed: 0, remaining: 2 } });
    expect(most).toBe(6);
  });

  it("are not sent while D1 is down", async () => {
    const { tenantId, giveUp } = await makeOwner();
    await giveUp();
    const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
    breakD1();
    expect(await redeliverSome(env, tenantId, ALL)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(calls).toEqual([]);
  });
});
