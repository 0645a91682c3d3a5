// A broker takes no more than its object can hold.

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { LiveIndex } from "../../../src/broker/jobs/live-index.ts";
import { MeteredSql } from "../../../src/broker/store/metered-sql.ts";
import { UsageOutbox } from "../../../src/broker/usage/outbox.ts";
import { OwedWebhooks } from "../../../src/broker/webhooks/owed.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { LIVE_INDEX_MAX_BYTES, TENANT_WEBHOOKS_OWED_MAX } from "../../../src/core/limits.ts";
import { OWED_WEBHOOK_BYTES } from "../../../src/core/scheduling/live-bytes.ts";
import { answerUpstreams, holdCarriers, makeBroker, submission } from "../../support/broker.ts";

afterEach(() => vi.restoreAllMocks());

it("refuses a job, new or sent back, once the live index has its bytes", async () => {
  const bytes = vi.spyOn(LiveIndex.prototype, "bytes", "get").mockReturnValue(LIVE_INDEX_MAX_BYTES - 1);
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker();
  const failing = submission();
  expect(await broker.submit(failing)).toMatchObject({ ok: true });
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const [lease] = given;
  const outcome = { kind: "rejected" as const, failure: failed("invalid_request", "no") };
  await broker.finish({ jobId: failing.jobId, lease: lease?.lease ?? "", outcome });
  bytes.mockReturnValue(LIVE_INDEX_MAX_BYTES);
  const refused = { ok: false, failure: { kind: "queue_full" } };
  expect(await broker.submit(submission())).toMatchObject(refused);
  expect(await broker.retry({ tenantId: "owner", jobId: failing.jobId })).toMatchObject(refused);
  bytes.mockReturnValue(0);
  expect(await broker.retry({ tenantId: "owner", jobId: failing.jobId })).toMatchObject({ ok: true });
  const rows = await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) =>
    storage.sql.exec("SELECT uuid FROM jobs").toArray(),
  );
  expect(rows).toHaveLength(1);
});

it("counts a job that is sent back to its tenant's waiting ones", async () => {
  const given = holdCarriers();
  const { broker } = await makeBroker();
  const failing = submission();
  await broker.submit(failing);
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const outcome = { kind: "rejected" as const, failure: failed("invalid_request", "no") };
  await broker.finish({ jobId: failing.jobId, lease: given[0]?.lease ?? "", outcome });
  const job = { tenantId: "owner", jobId: failing.jobId };
  expect(await broker.retry({ ...job, waitingMax: 0 })).toMatchObject({ ok: false, failure: { kind: "tenant_limit" } });
  expect(await broker.retry({ ...job, waitingMax: 1 })).toMatchObject({ ok: true });
});

it("refuses a load-balanced request while more lines are owed than it may owe", async () => {
  answerUpstreams(() => new Response("ok"));
  const full = vi.spyOn(UsageOutbox.prototype, "isFull", "get").mockReturnValue(true);
  const { broker } = await makeBroker({ kind: "load_balancer" });
  const wish = { affinity: { kind: "none" as const }, avoidIds: [] };
  const call = { requestId: "r1", tenantId: "owner", settingsVersion: 1, ...wish, holdMs: 0 };
  expect(await broker.enterLb(call)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
  full.mockReturnValue(false);
  expect(await broker.enterLb(call)).not.toMatchObject({ failure: { kind: "unavailable" } });
});

it("counts the webhooks that retries have moved, to the endpoint and to their tenant", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const { bytes, counted, stored } = await runInDurableObject(
    env.ENDPOINT_BROKER.getByName(endpointId),
    (_, { storage }) => {
      const owed = new OwedWebhooks(new MeteredSql(storage));
      for (const round of [0, 1])
        owed.remember({ uuid: "u", round, tenantId: "owner", view: { error: "é".repeat(5_000) } }, 10);
      return { bytes: owed.bytes, counted: owed.countOf("owner"), stored: owed.bytesOf("owner") };
    },
  );
  expect(bytes).toBe(2 * OWED_WEBHOOK_BYTES);
  expect(counted).toBe(2);
  expect(stored).toBe(2 * (10 + 10_000));
  const call = submission({ webhook: { url: "https://receiver.test/", sealedSecret: "s" } });
  const owing = vi.spyOn(OwedWebhooks.prototype, "countOf").mockReturnValue(TENANT_WEBHOOKS_OWED_MAX);
  expect(await broker.submit(call)).toMatchObject({ ok: false, failure: { kind: "webhooks_owed" } });
  owing.mockRestore();
  vi.spyOn(OwedWebhooks.prototype, "bytes", "get").mockReturnValue(LIVE_INDEX_MAX_BYTES);
  expect(await broker.submit(submission())).toMatchObject({ ok: false, failure: { kind: "queue_full" } });
});
