// Rotation of a tenant's webhook secret: tries of jobs that came before it verify with both secrets, then with the new
// one alone.
import { evictDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { runAll } from "../../../src/db/statement.ts";
import { findWebhookSecrets, rotateWebhookSecret } from "../../../src/db/tenants.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { breakD1 } from "../../support/d1.ts";
import { makeTenant } from "../../support/tenant.ts";
import {
  makeWebhookSecret,
  RECEIVER_URL,
  receiveWebhooks,
  rotate,
  sealWebhookSecret,
  verifiedBy,
  webhookTo,
} from "../../support/webhooks.ts";

const HOUR_MS = 3_600_000;
/** So that no result goes before the test has ended. */
const RETENTION_MS = 14 * 24 * HOUR_MS;
/** What D1 has answered is used without asking again for less than this. */
const CACHED_MS = 31_000;
const POLL = { timeout: 8_000, interval: 10 };

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/**
 * A job whose receiver refuses every try, and the first of these calls. `tryAgain` makes the next one due and awaits
 * it.
 */
async function refusedWebhook() {
  const { tenantId, webhookSecret } = await makeTenant();
  const calls = receiveWebhooks(() => new Response("no", { status: 500 }));
  const { endpointId } = await makeBroker({ tenantId, runRetentionMs: RETENTION_MS });
  const webhook = await webhookTo(RECEIVER_URL, webhookSecret);
  await brokerOf(env, endpointId).submit(submission({ tenantId, webhook }));
  await vi.waitFor(() => expect(calls).toHaveLength(1), POLL);
  const tryAgain = async (afterMs: number) => {
    const made = calls.length;
    vi.setSystemTime(Date.now() + afterMs);
    await vi.waitFor(async () => {
      await brokerOf(env, endpointId).startWebhooks();
      expect(calls).toHaveLength(made + 1);
    }, POLL);
    return calls.at(-1);
  };
  return { tenantId, endpointId, first: webhookSecret, calls, tryAgain };
}

it("reaches older jobs: both secrets verify during the overlap, the new one alone after it", async () => {
  const { tenantId, endpointId, first, calls, tryAgain } = await refusedWebhook();
  expect(verifiedBy(calls[0], first)).toEqual([first]);

  const second = await rotate(tenantId, Date.now() + 2 * HOUR_MS);
  expect(verifiedBy(await tryAgain(CACHED_MS), first, second)).toEqual([first, second]);

  // The overlap ends while the broker is away.
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
  expect(verifiedBy(await tryAgain(2 * HOUR_MS), first, second)).toEqual([second]);
});

it("within the overlap of an earlier one ends the oldest secret at once", async () => {
  const { tenantId, first, tryAgain } = await refusedWebhook();
  const second = await rotate(tenantId, Date.now() + 24 * HOUR_MS);
  const third = await rotate(tenantId, Date.now() + HOUR_MS);
  expect(verifiedBy(await tryAgain(CACHED_MS), first, second, third)).toEqual([second, third]);
});

it("that is run twice with the same new secret counts once, and keeps the former one", async () => {
  const { tenantId } = await makeTenant();
  const before = await findWebhookSecrets(env.DB, tenantId);
  const version = () =>
    env.DB.prepare("SELECT version FROM tenants WHERE id = ?").bind(tenantId).first<number>("version");
  const versionBefore = Number(await version());
  const sealed = await sealWebhookSecret(makeWebhookSecret());
  for (let run = 0; run < 2; run += 1) await runAll(env.DB, [rotateWebhookSecret(tenantId, sealed, 5)]);
  expect(await findWebhookSecrets(env.DB, tenantId)).toEqual({
    sealedSecret: sealed,
    sealedFormer: before?.sealedSecret,
    formerUntilMs: 5,
  });
  expect(await version()).toBe(versionBefore + 1);
});

it("of one tenant leaves the secret of another", async () => {
  const { tenantId } = await makeTenant();
  const { tenantId: other } = await makeTenant();
  const before = await findWebhookSecrets(env.DB, other);
  await rotate(tenantId, Date.now() + HOUR_MS);
  expect(await findWebhookSecrets(env.DB, other)).toEqual(before);
});

it("holds while D1 is down, and so does the end of its overlap", async () => {
  const { tenantId, first, tryAgain } = await refusedWebhook();
  const second = await rotate(tenantId, Date.now() + HOUR_MS);
  expect(verifiedBy(await tryAgain(CACHED_MS), first, second)).toEqual([first, second]);
  breakD1();
  expect(verifiedBy(await tryAgain(10 * 60_000), first, second)).toEqual([first, second]);
  expect(verifiedBy(await tryAgain(HOUR_MS), first, second)).toEqual([second]);
});

it("does not hold up a delivery while D1 is down and was never asked: the secret of the submit signs", async () => {
  breakD1();
  const lines = vi.spyOn(console, "log");
  const secret = makeWebhookSecret();
  const calls = receiveWebhooks(() => new Response(null, { status: 204 }));
  const tenantId = `tn-${crypto.randomUUID()}`;
  const { broker } = await makeBroker({ tenantId });
  const webhook = await webhookTo(RECEIVER_URL, secret);
  await broker.submit(submission({ tenantId, webhook }));
  await vi.waitFor(() => expect(calls).toHaveLength(1), POLL);
  expect(verifiedBy(calls[0], secret)).toEqual([secret]);
  const logged = lines.mock.calls.flat().join("\n");
  expect(logged).toContain("webhook_secrets_unread");
  for (const hidden of [secret, secret.slice("whsec_".length), webhook.sealedSecret]) {
    expect(logged).not.toContain(hidden);
  }
});
