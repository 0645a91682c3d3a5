// The body of a webhook that is given up is kept for 30 days, with R2 or D1 away for a while, and goes with its letter.
import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { SubmitCall } from "../../../src/contract/broker.ts";
import { DEAD_BODY_OFFERED_MS } from "../../../src/core/job/webhook-limits.ts";
import { DEAD_LETTER_MS } from "../../../src/core/limits.ts";
import { keepDeadLetter, listDeadLetters } from "../../../src/db/dead-letters.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { deadBodyKey } from "../../../src/dispatch/webhook-body.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";
import { breakR2 } from "../../support/r2.ts";
import { RECEIVER_URL, receiveWebhooks, webhookTo } from "../../support/webhooks.ts";

const POLL = { timeout: 8_000, interval: 10 };
const MINUTE_MS = 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A job is done whose receiver wants no webhook, so that it is given up at once. */
async function givenUp(partial: Partial<SubmitCall> = {}) {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const calls = receiveWebhooks(() => new Response(null, { status: 410 }));
  const { endpointId } = await makeBroker({ tenantId });
  const call = submission({ tenantId, mode: "runsync", webhook: await webhookTo(RECEIVER_URL), ...partial });
  await brokerOf(env, endpointId).submit(call);
  await vi.waitFor(() => expect(calls).toHaveLength(1), POLL);
  const webhookId = calls[0]?.id ?? "";
  /** A minute passes, and what is due then is done. */
  const passMinute = async () => {
    vi.setSystemTime(Date.now() + MINUTE_MS);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    await brokerOf(env, endpointId).startWebhooks();
  };
  return { tenantId, endpointId, webhookId, jobId: call.jobId, sent: calls[0]?.text ?? "", calls, passMinute };
}

async function lettersOf(tenantId: string) {
  const page = { before: null, limit: 100, nowMs: Date.now() };
  return (await listDeadLetters(env.DB, tenantId, page)).letters;
}

async function bodyOf(tenantId: string, webhookId: string): Promise<string | null> {
  const object = await env.PAYLOADS.get(deadBodyKey(tenantId, webhookId));
  return object === null ? null : object.text();
}

/** The only letter of a tenant, once its body is kept or known not to be. */
function letterOf(tenantId: string, redeliverable: boolean): Promise<unknown> {
  return vi.waitFor(async () => {
    const [letter, ...others] = await lettersOf(tenantId);
    expect(letter).toMatchObject({ redeliverable });
    expect(others).toEqual([]);
    return letter;
  }, POLL);
}

it("is kept byte for byte as it was sent, before the letter is listed", async () => {
  const { tenantId, webhookId, endpointId, jobId, sent } = await givenUp();
  expect(await letterOf(tenantId, true)).toMatchObject({ webhookId, endpointId, jobId, tries: 1 });
  expect(await bodyOf(tenantId, webhookId)).toBe(sent);
  const { objects } = await env.PAYLOADS.list({ prefix: `webhooks/${tenantId}/` });
  expect(objects.map(({ key }) => key)).toEqual([`webhooks/${tenantId}/${webhookId}`]);
});

it("follows when R2 is back, after its job's time and a restart; the letter is listed meanwhile", async () => {
  const outage = breakR2();
  const { tenantId, webhookId, endpointId, sent, calls, passMinute } = await givenUp();
  const letter = await letterOf(tenantId, false);
  for (let minute = 0; minute < 5; minute += 1) await passMinute();
  expect(outage.calls()).toBeGreaterThan(1);
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  outage.heal();
  await vi.waitFor(async () => {
    await passMinute();
    expect(await bodyOf(tenantId, webhookId)).toBe(sent);
  }, POLL);
  expect(await letterOf(tenantId, true)).toEqual({ ...(letter as object), redeliverable: true });
  expect(calls).toHaveLength(1);
});

it("is offered to R2 for a day, and then its letter stays one that cannot be sent again", async () => {
  const outage = breakR2();
  const { tenantId, passMinute } = await givenUp();
  await letterOf(tenantId, false);
  vi.setSystemTime(Date.now() + DEAD_BODY_OFFERED_MS);
  const before = outage.calls();
  await vi.waitFor(async () => {
    await passMinute();
    expect(outage.calls()).toBeGreaterThan(before);
  }, POLL);
  // The last offer is settled: another hour brings no further one.
  await letterOf(tenantId, false);
  await scheduler.wait(50);
  const after = outage.calls();
  for (let minute = 0; minute < 60; minute += 1) await passMinute();
  expect(outage.calls()).toBe(after);
  await letterOf(tenantId, false);
});

it("is kept once D1 is back, and the letter with it", async () => {
  const outage = breakD1();
  const puts = vi.spyOn(Object.getPrototypeOf(env.PAYLOADS), "put");
  const { tenantId, webhookId, endpointId, sent, passMinute } = await givenUp();
  await vi.waitFor(async () => expect(await bodyOf(tenantId, webhookId)).toBe(sent), POLL);
  for (let minute = 0; minute < 3; minute += 1) await passMinute();
  await scheduler.wait(20);
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  outage.heal();
  await vi.waitFor(async () => {
    await passMinute();
    await letterOf(tenantId, true);
  }, POLL);
  expect(await bodyOf(tenantId, webhookId)).toBe(sent);
  expect(puts).toHaveBeenCalledTimes(1);
});

it("goes without a payload that R2 has lost, but waits for one that R2 does not give at the moment", async () => {
  const key = `ep/${crypto.randomUUID()}/input`;
  const bytes = new TextEncoder().encode(JSON.stringify({ text: "x".repeat(300_000) }));
  await env.PAYLOADS.put(key, bytes);
  // The try itself must not wait, so its body has no payloads.
  const outage = breakR2("get");
  const input = { kind: "r2", key, sizeBytes: bytes.length } as const;
  // A cancelled job needs no upstream, which would wait for the input.
  const tenantId = `tn-${crypto.randomUUID()}`;
  const calls = receiveWebhooks(() => new Response(null, { status: 410 }));
  const { endpointId, broker } = await makeBroker({ tenantId, upstreams: [] });
  const whole = submission({ tenantId, input, webhook: await webhookTo(RECEIVER_URL) });
  await broker.submit(whole);
  await broker.cancel({ tenantId, jobId: whole.jobId });
  await letterOf(tenantId, false);
  expect(JSON.parse(calls[0]?.text ?? "")).toMatchObject({ truncated: true });
  outage.heal();
  await vi.waitFor(async () => {
    vi.setSystemTime(Date.now() + MINUTE_MS);
    await brokerOf(env, endpointId).startWebhooks();
    expect(JSON.parse((await bodyOf(tenantId, calls[0]?.id ?? "")) ?? "{}")).toMatchObject({
      input: { text: expect.stringMatching(/^x+$/) },
    });
  }, POLL);

  const lost = submission({
    tenantId,
    input: { ...input, key: "ep/lost/input" },
    webhook: await webhookTo(RECEIVER_URL),
  });
  await brokerOf(env, endpointId).submit(lost);
  await brokerOf(env, endpointId).cancel({ tenantId, jobId: lost.jobId });
  await vi.waitFor(async () => {
    const letter = (await lettersOf(tenantId)).find(({ jobId }) => jobId === lost.jobId);
    expect(letter).toMatchObject({ redeliverable: true });
    expect(JSON.parse((await bodyOf(tenantId, letter?.webhookId ?? "")) ?? "{}")).toMatchObject({ truncated: true });
  }, POLL);
});

it("goes when its letter is dropped for a newer one", async () => {
  const tenantId = `tn-${crypto.randomUUID()}`;
  const givenUpAtMs = Date.now() - DEAD_LETTER_MS - 1;
  const facts = {
    endpointId: "ep",
    jobId: "job-u1",
    url: RECEIVER_URL,
    tries: 10,
    detail: "answered 500",
    givenUpAtMs,
  };
  await env.PAYLOADS.put(deadBodyKey(tenantId, "msg_old"), "{}");
  await env.PAYLOADS.put(deadBodyKey("another", "msg_old"), "{}");
  await keepDeadLetter(env.DB, tenantId, { ...facts, webhookId: "msg_old" }, givenUpAtMs);
  const { webhookId } = await givenUp({ tenantId });
  await vi.waitFor(async () => expect(await lettersOf(tenantId)).toMatchObject([{ webhookId }]), POLL);
  await vi.waitFor(async () => expect(await bodyOf(tenantId, "msg_old")).toBeNull(), POLL);
  expect(await bodyOf("another", "msg_old")).toBe("{}");
});
