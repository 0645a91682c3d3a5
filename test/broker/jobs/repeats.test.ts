// Submits that are repeated change nothing, and those beyond a bound are refused with its name.
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { TENANT_WEBHOOKS_OWED_MAX } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

it("a submit that is repeated after a purge does not bring the job back into the count", async () => {
  const { endpointId } = await makeBroker({ upstreams: [] });
  const call = submission();
  await brokerOf(env, endpointId).submit(call);
  await brokerOf(env, endpointId).purgeQueue({ tenantId: "owner" });
  const again = await brokerOf(env, endpointId).submit(call);
  expect(again).toMatchObject({ ok: true, value: { job: { status: "CANCELLED" } } });
  expect(await brokerOf(env, endpointId).depth({ tenantId: "owner" })).toEqual({ waiting: 0, running: 0 });
});

it("a submit under an id that another tenant's job has is told nothing of that job", async () => {
  const { broker } = await makeBroker({ upstreams: [], shared: true });
  const call = submission({ tenantId: "owner" });
  await broker.submit(call);
  expect(await broker.submit({ ...call, tenantId: "other" })).toMatchObject({
    ok: false,
    failure: { kind: "unavailable" },
  });
  expect(await broker.submit(call)).toMatchObject({ ok: true, value: { job: { id: call.jobId } } });
});

it("a repeated runsync after the end of retention is told that its job is gone, also before the sweep", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  const given = holdCarriers();
  const { broker } = await makeBroker();
  const idempotency = { key: crypto.randomUUID(), fingerprint: "same body" };
  await broker.submit(submission({ mode: "runsync", idempotency }));
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const [first] = given;
  if (first === undefined) throw new Error("no carrier was started");
  const output = { kind: "inline", bytes: new TextEncoder().encode('"old"') } as const;
  await broker.finish({ ...first, outcome: { kind: "completed", output } });
  vi.setSystemTime(Date.now() + 3_600_000);
  expect(await broker.submit(submission({ mode: "runsync", idempotency }))).toEqual({
    ok: false,
    failure: { kind: "idempotency_gone", jobId: first.jobId, status: "COMPLETED" },
  });
});

it("a tenant whose receiver is dead is refused more webhooks, and nobody else is", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  const webhook = { url: "https://dead.example.com/hook", sealedSecret: "sealed" };
  const first = submission({ webhook });
  await broker.submit(first);
  await broker.cancel({ tenantId: "owner", jobId: first.jobId });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => {
    // As if the receiver had been dead for long: the same row, over and over.
    state.storage.sql.exec(
      `WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?)
       INSERT INTO jobs (uuid, tenant_id, mode, status, queue_seq, expires_at, webhook_next_at, facts, webhook, fields,
         input_place, input)
       SELECT 'copy-' || n, tenant_id, mode, status, queue_seq, expires_at, ?,
         json_set(facts, '$.uuid', 'copy-' || n, '$.webhook.nextAtMs', ?), webhook, fields, input_place, input
       FROM jobs, copies`,
      TENANT_WEBHOOKS_OWED_MAX,
      Date.now() + 3_600_000,
      Date.now() + 3_600_000,
    );
  });
  await abortAllDurableObjects();
  const submit = (call: Parameters<typeof submission>[0]) => brokerOf(env, endpointId).submit(submission(call));
  expect(await submit({ webhook })).toMatchObject({ ok: false, failure: { kind: "webhooks_owed" } });
  expect(await submit({})).toMatchObject({ ok: true });
  expect(await submit({ webhook, tenantId: "another" })).toMatchObject({ ok: true });
});
