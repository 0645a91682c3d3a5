// An endpoint with 500 jobs in all states is deleted in the middle of its work: who has run is billed once, who has waited is not,
// every webhook is sent, and a day later nothing is left.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { TenantAccount } from "../../../src/account/tenant-account.ts";
import { WEBHOOK_SECRET_PLACE } from "../../../src/core/access/sealing.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { seal } from "../../../src/outbound/credentials.ts";
import { answerUpstreams, holdCarriers, makeBroker, submission, upstream, workerKey } from "../../support/broker.ts";
import {
  deletion,
  objectsLeft,
  POLL,
  passTheDay,
  ring,
  rowsLeft,
  untilEmpty,
  untilEnded,
} from "../../support/closing.ts";
import { stateOf } from "../../support/quiet.ts";

/** Several hosts, each of which gets six calls at once. */
const receiverOf = (at: number) => `https://receiver-${at % 20}.example.com/hook`;
const JOBS = 500;
const DONE = 60;
const PUSHED = 100;
const PULLED = 20;

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface BilledRow {
  readonly [column: string]: SqlStorageValue;
  readonly uuid: string;
  readonly status: string;
  readonly amount: number | null;
}

/** Every job with what its row bills. */
function jobRows(endpointId: string): Promise<BilledRow[]> {
  const sql = "SELECT uuid, status, facts ->> '$.bill.amountNanodollars' AS amount FROM jobs ORDER BY uuid";
  return stateOf(endpointId, ({ storage }) => storage.sql.exec<BilledRow>(sql).toArray());
}

async function linesOf(tenantId: string) {
  const sql = "SELECT source, amount_nanodollars AS amount FROM usage_lines WHERE tenant_id = ? ORDER BY source";
  return (await env.DB.prepare(sql).bind(tenantId).all<{ source: string; amount: number }>()).results;
}

const numberOf = (rows: readonly BilledRow[], status: string) => rows.filter((row) => row.status === status).length;

describe("a deleted endpoint with 500 jobs", () => {
  it("bills what ran once, cancels the rest unbilled, sends every webhook, and is empty a day later", {
    timeout: 60_000,
  }, async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const tenantId = `tn-${crypto.randomUUID()}`;
    const secret = `whsec_${btoa("secret of this test only")}`;
    const sealedSecret = await seal(secret, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
    const receiver = { isOpen: false, told: [] as string[] };
    answerUpstreams(async (request) => {
      if (!receiver.isOpen) return new Response(null, { status: 503 });
      receiver.told.push((await request.json<{ id: string }>()).id);
      return new Response(null, { status: 204 });
    });
    const accounts = vi.spyOn(TenantAccount.prototype, "post").mockRejectedValue(new Error("the account is away"));
    const { endpointId } = await makeBroker({
      tenantId,
      tenantSharePercent: 100,
      runRetentionMs: 14 * 86_400_000,
      upstreams: [upstream({ slots: PUSHED })],
      workerKeys: [workerKey({ slots: PULLED })],
    });
    const carriers = holdCarriers((id) => id === endpointId);
    const broker = () => brokerOf(env, endpointId);
    const webhookOf = (at: number) => ({ url: receiverOf(at), sealedSecret });
    const calls = Array.from({ length: JOBS }, (_, at) => submission({ tenantId, webhook: webhookOf(at) }));
    for (const call of calls) expect(await broker().submit(call)).toMatchObject({ ok: true });
    const run = (count: number) =>
      vi.waitFor(async () => {
        await broker().start();
        expect(carriers).toHaveLength(count);
      }, POLL);
    await run(PUSHED);
    const outcome = { kind: "completed", output: null } as const;
    for (const carrier of carriers.slice(0, DONE)) await broker().finish({ ...carrier, outcome });
    await run(PUSHED + DONE);
    const take = { keyId: "k1", workerId: "w1", pollId: crypto.randomUUID(), gpu: null, version: null, idle: true };
    expect(await broker().takeJobs({ ...take, wanted: PULLED })).toMatchObject({ value: { length: PULLED } });
    await env.PAYLOADS.put(`${endpointId}/${calls[0]?.jobId}/lost/output`, "an output that no row names");
    vi.setSystemTime(Date.now() + 9_000);

    const deletedAtMs = Date.now();
    expect(await broker().configure(deletion({ endpointId, tenantId, deletedAtMs }))).toEqual({ version: 9 });
    await untilEnded(endpointId, tenantId);
    const rows = await jobRows(endpointId);
    expect(rows).toHaveLength(JOBS);
    expect(numberOf(rows, "COMPLETED")).toBe(DONE);
    expect(numberOf(rows, "CANCELLED")).toBe(JOBS - DONE);
    const billed = rows.flatMap(({ uuid, amount }) => (amount === null ? [] : [{ source: uuid, amount }]));
    expect(billed).toHaveLength(DONE + PUSHED + PULLED);
    const amounts = rows.flatMap(({ status, amount }) => (status === "CANCELLED" && amount !== null ? [amount] : []));
    // From nine seconds on, as fast as this machine has come to each; a job that could not be cancelled would have 28 or more.
    const ofSeconds = (slots: number) => (amount: number) => {
      const seconds = (amount * slots) / 160_000;
      return Number.isInteger(seconds) && seconds >= 9 && seconds < 28;
    };
    expect(amounts.filter(ofSeconds(PUSHED))).toHaveLength(PUSHED);
    expect(amounts.filter(ofSeconds(PULLED))).toHaveLength(PULLED);

    expect(await linesOf(tenantId)).toEqual([]);
    receiver.isOpen = true;
    // Once, past the second tries of those that have failed: a clock that runs ahead of the senders would take them for lost.
    vi.setSystemTime(Date.now() + 600_000);
    await vi.waitFor(async () => {
      await ring(endpointId);
      expect(new Set(receiver.told).size).toBe(JOBS);
    }, POLL);
    // A day later the lines have reached no account yet, so that nothing may go.
    passTheDay(deletedAtMs);
    await ring(endpointId);
    expect(await rowsLeft(endpointId)).toBeGreaterThan(JOBS);
    expect(await objectsLeft(endpointId)).toBe(1);
    accounts.mockRestore();
    await vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 60_000);
      await ring(endpointId);
      await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
      expect(await linesOf(tenantId)).toEqual(billed);
    }, POLL);
    await untilEmpty(endpointId);
    expect(await objectsLeft(endpointId)).toBe(0);
    expect(new Set(receiver.told).size).toBe(JOBS);
    expect(await linesOf(tenantId)).toEqual(billed);
  });
});
