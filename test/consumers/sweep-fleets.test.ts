// The cron asks the brokers of endpoints with a fleet once a day, each in its hour, and no other.
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { sweepFleets } from "../../src/consumers/sweep-fleets.ts";
import type { BrokerApi } from "../../src/contract/broker.ts";
import { FLEET_SWEEPS_MAX } from "../../src/core/fleet/limits.ts";
import { listSweptAt } from "../../src/db/endpoint-fleets.ts";
import worker from "../../src/index.ts";
import { makeTenant } from "../support/tenant.ts";

const HOUR_MS = 3_600_000;
const MIDNIGHT_MS = Date.UTC(2026, 10, 1);

beforeEach(() => env.DB.prepare("DELETE FROM endpoints").run());
afterEach(() => vi.restoreAllMocks());

/** An endpoint with this number; `image` null: it has no fleet. */
async function makeEndpoint(id: string, number: number, image: string | null, deletedAtMs: number | null = null) {
  const { tenantId } = await makeTenant();
  const fleet = JSON.stringify(image === null ? {} : { image });
  await env.DB.prepare(
    `INSERT INTO endpoints (id, tenant_id, slug, number, fleet, deleted_at, created_at) VALUES (?1, ?2, ?1, ?3, ?4, ?5, 0)`,
  )
    .bind(id, tenantId, number, fleet, deletedAtMs)
    .run();
}

/** One coming of the cron. Returns the endpoints whose brokers it asked. */
async function round(
  atMs: number,
  answer: (endpointId: string) => Promise<void> = async () => undefined,
  run = (ours: Env): Promise<void> => sweepFleets(ours, atMs),
) {
  const asked: string[] = [];
  const getByName = (endpointId: string): Partial<BrokerApi> => ({
    configure: async ({ version }) => ({ version }),
    sweepFleet: () => {
      asked.push(endpointId);
      return answer(endpointId);
    },
  });
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  await run({ ...env, ENDPOINT_BROKER: { getByName } as unknown as Env["ENDPOINT_BROKER"] });
  return asked;
}

describe("the daily look for machines that nobody owns", () => {
  it("asks each broker of an endpoint with an image in one hour of the day, and none that has no fleet or is deleted", async () => {
    await makeEndpoint("with", 27, "acme/worker:1");
    await makeEndpoint("without", 51, null);
    await makeEndpoint("deleted", 75, "acme/worker:1", 1);
    await makeEndpoint("other", 28, "acme/worker:1");
    const askedAt: Record<string, number[]> = {};
    for (let minute = 0; minute < 24 * 60; minute += 5) {
      for (const id of await round(MIDNIGHT_MS + minute * 60_000)) askedAt[id] = [...(askedAt[id] ?? []), minute];
    }
    expect(askedAt).toEqual({ with: [180], other: [240] });
  });

  it("goes on where a broker fails, and asks no more in an hour than it may", async () => {
    await makeEndpoint("a", 24, "acme/worker:1");
    await makeEndpoint("b", 48, "acme/worker:1");
    const fails = async (id: string) => {
      if (id === "a") throw new Error("away");
    };
    expect(await round(MIDNIGHT_MS + 24 * HOUR_MS, fails)).toEqual(["a", "b"]);
    expect(FLEET_SWEEPS_MAX).toBeLessThan(10_000);
  });

  it("comes to every endpoint of an hour that has more than are asked at once, on the next days", async () => {
    for (const [at, id] of ["a", "b", "c", "d", "e"].entries()) await makeEndpoint(id, 24 * (at + 1), "acme/worker:1");
    const listed = (day: number) => listSweptAt(env.DB, { day, hour: 0, limit: 2 });
    expect([await listed(3), await listed(4), await listed(5), await listed(6)]).toEqual([
      ["a", "b"],
      ["c", "d"],
      ["e"],
      ["a", "b"],
    ]);
    expect(await listSweptAt(env.DB, { day: 7, hour: 1, limit: 2 })).toEqual([]);
  });

  it("is a part of the cron", async () => {
    await makeEndpoint("scheduled", 24, "acme/worker:1");
    const asked = await round(MIDNIGHT_MS, undefined, (ours) =>
      worker.scheduled({ scheduledTime: MIDNIGHT_MS, cron: "*/5 * * * *", noRetry: () => undefined }, ours),
    );
    expect(asked).toEqual(["scheduled"]);
  });
});
