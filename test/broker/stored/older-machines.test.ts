// A broker that starts over rows of machines which another release has written, or which cannot be read at all: its jobs go on, and no
// machine is paid that nobody remembers.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { readInstance } from "../../../src/broker/store/instance-record.ts";
import { LIFETIME_DEFAULT_MS as DAY_MS, LIST_LAG_MS, UNCLEAR_KEPT_MS } from "../../../src/core/fleet/limits.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { readyMachine } from "../../support/fleet-core.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, pullingWorker, statusOf, workersOf } from "../../support/pulling-worker.ts";
import { evict } from "../../support/quiet.ts";

const provider = useHeldProvider();

type Kept = Record<string, unknown>;

/** One job runs on the only machine. Then the row of that is changed, and the broker starts anew over it. */
async function startOver(change: (kept: Kept) => string) {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet() });
  const { jobId, ...call } = submission();
  await broker.submit({ ...call, jobId });
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(1), { timeout: 2_000 });
  const id = provider.called("create")[0]?.machine?.instanceId ?? "";
  const worker = pullingWorker(broker, id, id);
  await worker.takeOne();
  await vi.waitFor(async () => expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]));
  const inRows = <T>(read: (sql: SqlStorage) => T) =>
    runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => read(storage.sql));
  await inRows((sql) => {
    const { record } = sql.exec<{ record: string }>("SELECT record FROM instances").one();
    sql.exec("UPDATE instances SET record = ?", change(JSON.parse(record)));
  });
  await evict(endpointId);
  const records = () =>
    inRows((sql) => sql.exec<{ record: string }>("SELECT record FROM instances").toArray()).then((rows) =>
      rows.map(({ record }) => record),
    );
  const pass = (ms: number) => passTime(endpointId, ms);
  return { endpointId, broker, worker, jobId, id, records, pass, inRows };
}

type Started = Awaited<ReturnType<typeof startOver>>;

/** No machine is left, and no row, once lists have shown that. */
async function expectEnded({ pass, records }: Started, withinMs: number) {
  for (let passed = 0; passed <= withinMs + 4 * LIST_LAG_MS; passed += LIST_LAG_MS) await pass(LIST_LAG_MS);
  await vi.waitFor(() => expect(provider.machines.size).toBe(0));
  for (let looks = 0; looks < 4; looks += 1) await pass(LIST_LAG_MS);
  expect(await records()).toEqual([]);
}

it("goes on with a machine whose row has not the fields that came later", async () => {
  const started = await startOver(({ isResumed: _, isDrained: __, ...first }) => JSON.stringify(first));
  const { broker, worker, jobId } = started;
  expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
  await worker.done(jobId);
  expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED" });
  await expectEnded(started, 60_000);
});

it.each([
  ["lacks what a machine that serves has to have", ({ endsAtMs: _, answeredAtMs: __, ...first }: Kept) => first],
  ["has more than this release can read", (kept: Kept) => ({ ...kept, goal: "moved" })],
])("goes on with a machine whose row %s", async (_, change) => {
  const lines = vi.spyOn(console, "log");
  const started = await startOver((kept) => JSON.stringify(change(kept)));
  const { broker, worker, jobId, id } = started;
  await worker.ping([jobId]);
  expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
  expect(lines.mock.calls.flat().filter((line) => String(line).includes("instance_unreadable"))).toEqual([
    expect.stringContaining(id),
  ]);
  await worker.done(jobId);
  expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED" });
  expect(provider.called("create")).toHaveLength(1);
  await expectEnded(started, 60_000);
});

it("gives a machine whose hard end and start cannot be read a day since another time that its row has", () => {
  const {
    endsAtMs: _,
    startedAtMs: __,
    ...rest
  } = readyMachine("m", { createdAtMs: 1_000, readyAtMs: 2_000, sinceMs: 3_000 });
  const endOf = (kept: Kept) => readInstance("m", JSON.stringify(kept), 90 * DAY_MS).instance?.endsAtMs;
  expect(endOf(rest)).toBe(1_000 + DAY_MS);
  expect(endOf({ ...rest, createdAtMs: "1970" })).toBe(2_000 + DAY_MS);
  expect(endOf({ ...rest, createdAtMs: "1970", readyAtMs: null })).toBe(3_000 + DAY_MS);
  expect(endOf({ ...rest, createdAtMs: "1970", readyAtMs: null, sinceMs: "1970" })).toBe(91 * DAY_MS);
});

it("keeps the hard end that it has given to a machine of whose row no time can be read", async () => {
  const { endpointId, broker, records } = await startOver((kept) =>
    JSON.stringify(Object.fromEntries(Object.entries(kept).filter(([name]) => !name.endsWith("Ms")))),
  );
  const endAfterStart = async () => {
    expect(await workersOf(broker)).toMatchObject([{ machine: { phase: "ready" } }]);
    return records().then((rows) => rows.map((record) => JSON.parse(record).endsAtMs));
  };
  const first = await endAfterStart();
  expect(first).toEqual([expect.any(Number)]);
  await evict(endpointId);
  expect(await endAfterStart()).toEqual(first);
});

it("ends a machine of whose row little more than the provider can be read, and runs its job elsewhere", async () => {
  const started = await startOver(({ providerId, ref }) => JSON.stringify({ providerId, ref, phase: "asleep" }));
  const { broker, jobId, pass } = started;
  expect(await statusOf(broker, jobId)).toMatchObject({ status: "IN_PROGRESS" });
  await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
  for (let passed = 0; passed < 3; passed += 1) await pass(60_000);
  await vi.waitFor(() => expect(provider.called("create")).toHaveLength(2));
  const again = provider.called("create")[1]?.machine?.instanceId ?? "";
  const other = pullingWorker(broker, again, again);
  await other.takeOne();
  await other.done(jobId);
  expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED" });
  await expectEnded(started, 60_000);
});

it("keeps a row that is no JSON aside, and ends its machine when the provider shows it", async () => {
  const started = await startOver(() => "{");
  const { broker, records } = started;
  const next = submission();
  expect(await broker.submit(next)).toMatchObject({ ok: true });
  expect(await records()).toContain("{");
  await broker.sweepFleet();
  await vi.waitFor(() => expect(provider.called("end").length).toBeGreaterThan(0));
  expect(await records()).not.toContain("{");
  await broker.cancel({ tenantId: "owner", jobId: next.jobId });
  await broker.cancel({ tenantId: "owner", jobId: started.jobId });
  await expectEnded(started, UNCLEAR_KEPT_MS);
});

it("forgets what it was to keep warm where that cannot be read", async () => {
  const { broker, inRows, endpointId } = await startOver((kept) => JSON.stringify(kept));
  await inRows((sql) => sql.exec(`INSERT INTO warm_workers (one, warm) VALUES (1, '{"workers":"many"}')`).toArray());
  await evict(endpointId);
  expect(await broker.submit(submission())).toMatchObject({ ok: true });
});

it("tells the decisions of its scaler that it can read, though another release has written some of them", async () => {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet() });
  const told = (limit: number, below = Number.MAX_SAFE_INTEGER) =>
    broker.listDecisions({ tenantId: "owner", below, limit });
  await broker.submit(submission());
  await vi.waitFor(async () => expect(await told(10)).toMatchObject([{ number: 1 }]), { timeout: 2_000 });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage: { sql } }) => {
    const { decision } = sql.exec<{ decision: string }>("SELECT decision FROM scaling_decisions").one();
    const ofLater = [JSON.stringify({ ...JSON.parse(decision), reason: "FORESIGHT" }), "{", "null"];
    const readable = JSON.stringify({ ...JSON.parse(decision), number: 5 });
    for (const [at, text] of [...ofLater, readable].entries())
      sql.exec("INSERT INTO scaling_decisions (number, decision) VALUES (?, ?)", at + 2, text);
  });
  await evict(endpointId);
  expect(await told(10)).toMatchObject([{ number: 5 }, { number: 1 }]);
  // A page that is full shows that there may be more.
  expect(await told(2)).toMatchObject([{ number: 5 }, { number: 1 }]);
  expect(await told(1, 5)).toMatchObject([{ number: 1 }]);
});
