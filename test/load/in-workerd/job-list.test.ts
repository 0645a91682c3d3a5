// The list of jobs of an endpoint that has 100,000: a page costs what it shows, and one that finds nothing is soon there, too.
import { expect, it } from "vitest";
import type { CallOf } from "../../../src/contract/broker.ts";
import { FILTER_ROWS_READ_MAX } from "../../../src/core/limits.ts";
import { makeBroker } from "../../support/broker.ts";
import { DAY_MS, inBroker, keepCopies } from "../../support/kept-jobs.ts";

const ROWS = 100_000;

it("beside 100,000 jobs a page of 100 reads 200 rows and is there within 100 ms, one that finds nothing within 1 s", {
  timeout: 120_000,
}, async () => {
  const { endpointId } = await makeBroker({ runRetentionMs: DAY_MS, tenantSharePercent: 100 });
  await keepCopies(endpointId, ROWS - 1);
  const ask = (partial: Partial<CallOf<"listJobs">>) =>
    inBroker(endpointId, async (broker) => {
      const before = broker.meter.rowsRead;
      const askedMs = performance.now();
      const page = await broker.listJobs({ tenantId: "owner", filter: {}, before: null, limit: 100, ...partial });
      return { page, tookMs: performance.now() - askedMs, rowsRead: broker.meter.rowsRead - before };
    });
  const first = await ask({});
  expect(first.page).toMatchObject({ scanned: 100, next: expect.any(String) });
  expect(first.page.jobs).toHaveLength(100);
  expect(first.rowsRead).toBeLessThanOrEqual(203);
  expect(first.tookMs).toBeLessThan(100);
  const nothing = await ask({ filter: { metadata: { order: "7" } } });
  expect(nothing.page).toMatchObject({ jobs: [], scanned: FILTER_ROWS_READ_MAX });
  expect(nothing.tookMs).toBeLessThan(1_000);
  console.info(`a page of 100,000 jobs takes ${first.tookMs} ms, one that finds nothing ${nothing.tookMs} ms`);
});
