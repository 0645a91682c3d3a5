// An endpoint that nobody calls: its object is evicted between any two alarms, so that each alarm starts a new one.
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { vi } from "vitest";

/** Reads its state, which starts the object as a call does. */
export async function stateOf<T>(endpointId: string, read: (state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => read(state));
}

export async function rowOf(endpointId: string, jobId: string): Promise<Record<string, SqlStorageValue> | undefined> {
  const uuid = jobId.replace(/^sync-/, "").replace(/-u1$/, "");
  const sql = `SELECT status, finish_seq, facts ->> 'restarts' AS restarts, facts ->> 'attempts' AS attempts,
    facts ->> 'countedFailures' AS failures FROM jobs WHERE uuid = ?`;
  return stateOf(endpointId, (state) => state.storage.sql.exec(sql, uuid).toArray()[0]);
}

export async function evict(endpointId: string): Promise<void> {
  await evictDurableObject(env.ENDPOINT_BROKER.getByName(endpointId));
}

/** Under fake timers of `Date`: lets all alarms until `untilMs` ring, each in a new object. Returns their times. */
export async function passQuietly(endpointId: string, untilMs: number): Promise<readonly number[]> {
  const rang: number[] = [];
  while (true) {
    await evict(endpointId);
    const atMs = await stateOf(endpointId, (state) => state.storage.getAlarm());
    if (atMs === null || atMs > untilMs) break;
    vi.setSystemTime(Math.max(Date.now(), atMs));
    await evict(endpointId);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
    rang.push(Date.now());
  }
  vi.setSystemTime(untilMs);
  await evict(endpointId);
  return rang;
}
