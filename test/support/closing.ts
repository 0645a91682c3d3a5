// A deleted endpoint in a test: its broker takes the deletion as a push would bring it, and alarms ring until it is empty.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { EndpointSettings } from "../../src/contract/settings.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { CLOSED_KEPT_MS } from "../../src/core/endpoint/limits.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { deleteEndpoint } from "../../src/manage/delete-endpoint.ts";
import { settings } from "./broker.ts";
import { stateOf } from "./quiet.ts";
import { makeTenant, type TestTenant } from "./tenant.ts";

/** The deletion as an operator's call makes it. `ifMatch`: the version that the caller expects. */
export async function deleteByOperator(endpointId: string, from: Env = env, ifMatch: number | null = null) {
  return deleteBy(await makeTenant({ scopes: ["admin"] }), endpointId, from, ifMatch);
}

/** The same with the key of an operator whom D1 has already. */
export function deleteBy(
  { key, tenantId }: TestTenant,
  endpointId: string,
  from: Env = env,
  ifMatch: number | null = null,
) {
  const keyId = parseApiKey(key)?.id ?? "";
  const caller = { keyId, tenantId, scopes: ["admin"], endpointIds: null } as const;
  const context = { env: from, caller, requestId: "r", nowMs: Date.now(), creation: null, ifMatch };
  return deleteEndpoint(context, null, endpointId);
}

export const POLL = { timeout: 15_000, interval: 10 };

/** The deletion as D1 gives it: without upstreams, keys of workers and prices. */
export function deletion(partial: Partial<EndpointSettings> & Pick<EndpointSettings, "endpointId">): EndpointSettings {
  return settings({ version: 9, upstreams: [], workerKeys: [], rates: [], deletedAtMs: Date.now(), ...partial });
}

export async function ring(endpointId: string): Promise<void> {
  // A call that was under way may have lost the object with its answer.
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId)).catch(() => false);
}

export function alarmOf(endpointId: string): Promise<number | null> {
  return stateOf(endpointId, (state) => state.storage.getAlarm());
}

/** Rows of all tables that hold something of the endpoint. */
export async function rowsLeft(endpointId: string): Promise<number> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => {
    const tables = [
      "jobs",
      "payloads",
      "idempotency",
      "posted",
      "owed",
      "settings",
      "owed_webhooks",
      "chunks",
      "tallies",
    ];
    const counts = tables.map((table) => `(SELECT count(*) FROM ${table})`);
    return storage.sql.exec<{ rows: number }>(`SELECT ${counts.join(" + ")} AS rows`).one().rows;
  });
}

export async function objectsLeft(endpointId: string): Promise<number> {
  return (await env.PAYLOADS.list({ prefix: `${endpointId}/` })).objects.length;
}

/** Rings until no job waits or runs. */
export async function untilEnded(endpointId: string, tenantId: string): Promise<void> {
  await vi.waitFor(async () => {
    await ring(endpointId);
    expect(await brokerOf(env, endpointId).depth({ tenantId })).toEqual({ waiting: 0, running: 0 });
  }, POLL);
}

/** Under fake timers of `Date`: past the time at which a closed endpoint may be emptied. */
export function passTheDay(deletedAtMs: number): void {
  vi.setSystemTime(Math.max(Date.now(), deletedAtMs + CLOSED_KEPT_MS + 1));
}

/** Rings until the object has forgotten everything. */
export async function untilEmpty(endpointId: string): Promise<void> {
  await vi.waitFor(async () => {
    await ring(endpointId);
    expect(await rowsLeft(endpointId)).toBe(0);
  }, POLL);
}
