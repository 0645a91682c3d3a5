// The closing of an endpoint, step by step, with its object lost at each: in the end one line, one webhook, and nothing left.
import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { Platform } from "../../../src/broker/platform.ts";
import { repairBrokers } from "../../../src/consumers/repair.ts";
import { WEBHOOK_SECRET_PLACE } from "../../../src/core/access/sealing.ts";
import { EMPTYING_RETRY_MS } from "../../../src/core/endpoint/limits.ts";
import { loadEndpointSettings } from "../../../src/db/endpoints.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { seal } from "../../../src/outbound/credentials.ts";
import { answerUpstreams, holdCarriers, submission } from "../../support/broker.ts";
import {
  alarmOf,
  deleteBy,
  deleteByOperator,
  objectsLeft,
  POLL,
  passTheDay,
  ring,
  rowsLeft,
  untilEmpty,
  untilEnded,
} from "../../support/closing.ts";
import { breakD1 } from "../../support/d1.ts";
import { makeTenant } from "../../support/tenant.ts";

const RECEIVER = "https://receiver.example.com/hook";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface World {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly told: string[];
}

/** One job runs, one waits, both with a webhook, and one object is in R2. */
async function makeWorld(): Promise<World> {
  const { endpointId, tenantId } = await makeTenant({ upstreams: [{ slots: 1 }] });
  const settings = await loadEndpointSettings(env.DB, endpointId);
  if (settings === null) throw new Error("the endpoint is not there");
  const broker = brokerOf(env, endpointId);
  await broker.configure(settings);
  const told: string[] = [];
  answerUpstreams(async (request) => {
    told.push((await request.json<{ id: string }>()).id);
    return new Response(null, { status: 204 });
  });
  const given = holdCarriers((id) => id === endpointId);
  const sealedSecret = await seal(`whsec_${btoa("secret of this test")}`, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  for (const mode of ["runsync", "run"] as const) {
    await broker.submit(submission({ tenantId, mode, webhook: { url: RECEIVER, sealedSecret } }));
  }
  await vi.waitFor(() => expect(given).toHaveLength(1));
  await env.PAYLOADS.put(`${endpointId}/job/lease/output`, "an output");
  return { endpointId, tenantId, told };
}

async function rowOf(endpointId: string) {
  const sql = "SELECT deleted_at AS deletedAtMs, emptied_at AS emptiedAtMs FROM endpoints WHERE id = ?";
  const row = await env.DB.prepare(sql).bind(endpointId).first<{ deletedAtMs: number; emptiedAtMs: number | null }>();
  if (row === null) throw new Error("the endpoint has no row");
  return row;
}

async function linesOf(tenantId: string): Promise<number> {
  await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenantId));
  const sql = "SELECT count(*) AS lines FROM usage_lines WHERE tenant_id = ?";
  return (await env.DB.prepare(sql).bind(tenantId).first<number>("lines")) ?? -1;
}

type Step = (world: World) => Promise<unknown>;

const STEPS: Readonly<Record<string, Step>> = {
  "the deletion": ({ endpointId }) => deleteByOperator(endpointId),
  "the end of the jobs": ({ endpointId, tenantId }) => untilEnded(endpointId, tenantId),
  "the bill": ({ endpointId, tenantId }) =>
    vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 1_000);
      await ring(endpointId);
      expect(await linesOf(tenantId)).toBe(1);
    }, POLL),
  "the webhooks": ({ endpointId, told }) =>
    vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 5_000);
      await ring(endpointId);
      expect(new Set(told).size).toBe(2);
    }, POLL),
  "a day": async ({ endpointId }) => passTheDay((await rowOf(endpointId)).deletedAtMs),
  "the emptying": ({ endpointId }) => untilEmpty(endpointId),
};

async function expectEnd({ endpointId, tenantId, told }: World): Promise<void> {
  expect((await rowOf(endpointId)).emptiedAtMs).not.toBeNull();
  expect(await linesOf(tenantId)).toBe(1);
  expect(new Set(told).size).toBe(2);
  expect([await rowsLeft(endpointId), await objectsLeft(endpointId)]).toEqual([0, 0]);
  expect(await alarmOf(endpointId)).toBeNull();
  // The cron does not wake what is empty.
  const configured = vi.spyOn(EndpointBroker.prototype, "configure");
  await repairBrokers(env);
  expect(configured).not.toHaveBeenCalled();
  expect(await rowsLeft(endpointId)).toBe(0);
}

describe("a closing", () => {
  it.each(["nothing", ...Object.keys(STEPS)])(
    "ends the same when its object is aborted before: %s",
    {
      timeout: 30_000,
    },
    async (lostBefore) => {
      const world = await makeWorld();
      for (const [name, step] of Object.entries(STEPS)) {
        if (name === lostBefore) await abortAllDurableObjects();
        await step(world);
      }
      await expectEnd(world);
    },
  );

  it("ends the same when its object is evicted after each step", { timeout: 30_000 }, async () => {
    const world = await makeWorld();
    for (const step of Object.values(STEPS)) {
      await step(world);
      await brokerOf(env, world.endpointId).depth({ tenantId: "nobody" });
      await evictDurableObject(env.ENDPOINT_BROKER.getByName(world.endpointId));
    }
    await expectEnd(world);
  });

  /** Up to the emptying. */
  async function closedWorld(): Promise<World> {
    const world = await makeWorld();
    for (const [name, step] of Object.entries(STEPS)) if (name !== "the emptying") await step(world);
    return world;
  }

  it.each([
    ["dropObjects", false],
    ["dropObjects", true],
    ["noteEmptied", false],
    ["noteEmptied", true],
    ["erase", false],
  ] as const)(
    "ends the same when the object is lost in %s (done already: %s)",
    { timeout: 30_000 },
    async (name, done) => {
      const world = await closedWorld();
      let isReached = false;
      // The one type of the three methods that fits all.
      const real: (atMs: number) => Promise<unknown> = Platform.prototype[name];
      // A flag and no promise: a test that waits for one goes on in the turn of the object, which it then aborts.
      const hang = async function (this: Platform): Promise<never> {
        if (done) await real.call(this, Date.now());
        isReached = true;
        return new Promise<never>(() => undefined);
      };
      const spy = vi.spyOn(Platform.prototype, name).mockImplementation(hang);
      await ring(world.endpointId);
      await vi.waitFor(() => expect(isReached).toBe(true), POLL);
      spy.mockRestore();
      // Nobody will call the object: its alarm must outlive it.
      expect(await alarmOf(world.endpointId)).toBeGreaterThan(Date.now());
      await abortAllDurableObjects();
      vi.setSystemTime(Date.now() + EMPTYING_RETRY_MS);
      await untilEmpty(world.endpointId);
      await expectEnd(world);
    },
  );

  it("ends the same when all is erased and the object is lost before it is out of memory", async () => {
    const world = await closedWorld();
    let isReached = false;
    const spy = vi.spyOn(Platform.prototype, "erase").mockImplementation(async function (this: Platform) {
      await this.storage.deleteAll();
      isReached = true;
      return new Promise<never>(() => undefined);
    });
    await ring(world.endpointId);
    await vi.waitFor(() => expect(isReached).toBe(true), POLL);
    spy.mockRestore();
    await abortAllDurableObjects();
    await expectEnd(world);
  });

  it("waits for R2, and loses nothing meanwhile", async () => {
    const world = await closedWorld();
    const bucket: R2Bucket = Object.getPrototypeOf(env.PAYLOADS);
    const away = vi.spyOn(bucket, "list").mockRejectedValue(new Error("R2 is away"));
    await ring(world.endpointId);
    await vi.waitFor(() => expect(away).toHaveBeenCalled());
    expect(await rowsLeft(world.endpointId)).toBeGreaterThan(0);
    expect((await rowOf(world.endpointId)).emptiedAtMs).toBeNull();
    away.mockRestore();
    vi.setSystemTime(Date.now() + EMPTYING_RETRY_MS);
    await untilEmpty(world.endpointId);
    await expectEnd(world);
  });

  it("waits for D1 before it erases anything, and is still closed then", async () => {
    const world = await closedWorld();
    const d1 = breakD1();
    await ring(world.endpointId);
    await vi.waitFor(() => expect(d1.calls()).toBeGreaterThan(0));
    expect(await rowsLeft(world.endpointId)).toBeGreaterThan(0);
    const { tenantId } = world;
    expect(await brokerOf(env, world.endpointId).submit(submission({ tenantId }))).toMatchObject({ ok: false });
    d1.heal();
    vi.setSystemTime(Date.now() + EMPTYING_RETRY_MS);
    await untilEmpty(world.endpointId);
    await expectEnd(world);
  });

  it("drops more objects than one page of R2 has", { timeout: 30_000 }, async () => {
    const world = await closedWorld();
    const keys = Array.from({ length: 1_050 }, (_, at) => `${world.endpointId}/job-${at}/input`);
    await Promise.all(keys.map((key) => env.PAYLOADS.put(key, "x")));
    await env.PAYLOADS.put(`${world.endpointId}0/job/input`, "another endpoint's");
    await untilEmpty(world.endpointId);
    await expectEnd(world);
    expect(await env.PAYLOADS.head(`${world.endpointId}0/job/input`)).not.toBeNull();
  });

  it("is done by the cron where the push was lost, and the jobs run on until then", { timeout: 30_000 }, async () => {
    const world = await makeWorld();
    const { endpointId, tenantId } = world;
    const gone = { getByName: () => ({ configure: () => Promise.reject(new Error("lost")) }) };
    // The broker is out of reach for the push alone.
    const cut = { ...env, ENDPOINT_BROKER: gone as unknown as Env["ENDPOINT_BROKER"] };
    expect(await deleteByOperator(endpointId, cut)).toMatchObject({ ok: true, value: { applied: false } });
    expect(await brokerOf(env, endpointId).depth({ tenantId })).toEqual({ waiting: 1, running: 1 });
    await repairBrokers(env);
    for (const [name, step] of Object.entries(STEPS)) if (name !== "the deletion") await step(world);
    await expectEnd(world);
  });
});

describe("the call that deletes an endpoint", () => {
  it("applies at once, may be repeated also when all is gone, and knows nothing of what never was", async () => {
    const world = await makeWorld();
    const deleted = { ok: true, value: { id: world.endpointId, applied: true } };
    expect(await deleteByOperator(world.endpointId)).toEqual(deleted);
    const { deletedAtMs } = await rowOf(world.endpointId);
    vi.setSystemTime(Date.now() + 1_000);
    expect(await deleteByOperator(world.endpointId)).toEqual(deleted);
    expect((await rowOf(world.endpointId)).deletedAtMs).toBe(deletedAtMs);
    for (const [name, step] of Object.entries(STEPS)) if (name !== "the deletion") await step(world);
    await expectEnd(world);
    expect(await deleteByOperator(world.endpointId)).toEqual(deleted);
    await expectEnd(world);
    expect(await deleteByOperator("ep-nowhere")).toMatchObject({ failure: { kind: "not_found" } });
  });

  it("deletes nothing where the endpoint has another version than is expected", async () => {
    const { endpointId } = await makeTenant();
    expect(await deleteByOperator(endpointId, env, 7)).toMatchObject({ failure: { kind: "version_passed" } });
    expect(await deleteByOperator(endpointId, env, 1)).toMatchObject({ ok: true, value: { applied: true } });
  });

  it("deletes nothing while D1 is down, and says so", async () => {
    const { endpointId } = await makeTenant();
    const operator = await makeTenant({ scopes: ["admin"] });
    const d1 = breakD1();
    expect(await deleteBy(operator, endpointId)).toMatchObject({ failure: { kind: "unavailable" } });
    d1.heal();
    expect(await loadEndpointSettings(env.DB, endpointId)).not.toBeNull();
  });
});
