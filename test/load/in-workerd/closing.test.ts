// An endpoint with a long backlog is deleted: its jobs end in short turns, between which others are served.
import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import type { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { deletion, ring } from "../../support/closing.ts";

const JOBS = 50_000;

afterEach(() => vi.restoreAllMocks());

it("50,000 waiting jobs are cancelled within a minute, a lost object included, and a call meanwhile takes under 500 ms", {
  timeout: 150_000,
}, async () => {
  const { log } = console;
  // A line for the end of each job would bury the report.
  vi.spyOn(console, "log").mockImplementation(() => undefined);
  const { endpointId, broker } = await makeBroker({ upstreams: [], tenantSharePercent: 100 });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), async (instance) => {
    for (let made = 0; made < JOBS; made += 1) await (instance as EndpointBroker).submit(submission());
  });
  const startedMs = Date.now();
  await broker.configure(deletion({ endpointId }));
  let longestMs = Date.now() - startedMs;
  let waiting = JOBS;
  let isLost = false;
  while (waiting > 0) {
    const rung = ring(endpointId);
    const askedMs = Date.now();
    ({ waiting } = await brokerOf(env, endpointId).depth({ tenantId: "owner" }));
    longestMs = Math.max(longestMs, Date.now() - askedMs);
    await rung;
    if (isLost || waiting > JOBS / 2) continue;
    isLost = true;
    await abortAllDurableObjects();
    // A start reads every job that waits, which is not what is measured here.
    await brokerOf(env, endpointId).depth({ tenantId: "owner" });
  }
  log(`${JOBS} jobs: ${Date.now() - startedMs} ms, the longest call ${longestMs} ms`);
  expect(Date.now() - startedMs).toBeLessThan(60_000);
  expect(longestMs).toBeLessThan(500);
});
