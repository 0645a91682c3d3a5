// /v2/billing: sums of usage lines by time and endpoint, in RunPod's form.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { UsageLine } from "../../../src/contract/usage.ts";
import { BUCKET_SIZES, startOfBucket } from "../../../src/core/manage/billing-window.ts";
import { writeUsage } from "../../../src/db/usage.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";
import { usageLine } from "../../support/usage-line.ts";

function line(endpointId: string, finished: string, amountNanodollars: number): UsageLine {
  const finishedAtMs = Date.parse(finished);
  return usageLine({ endpointId, amountNanodollars, startedAtMs: finishedAtMs - 2_000, finishedAtMs });
}

/** A tenant with usage of two endpoints in May and June 2026. */
async function billed() {
  const tenant = await makeTenant();
  const { endpointId, tenantId, key } = tenant;
  const lines = [
    line(endpointId, "2026-05-31T23:59:59.999Z", 1_000_000_000),
    line(endpointId, "2026-06-01T00:00:00Z", 250_000_000),
    line(endpointId, "2026-06-01T12:00:00Z", 250_000_000),
    line("ep-other", "2026-06-01T13:00:00Z", 100_000_000),
    line(endpointId, "2026-06-03T00:00:00Z", 5_000_000),
  ];
  await writeUsage(env.DB, tenantId, "broker", 5, lines);
  const ask = (path: string) => manage(key, "GET", `/v2/billing${path}`);
  return { ...tenant, ask };
}

const JUNE = "startTime=2026-06-01T00:00:00Z&endTime=2026-06-03T00:00:00Z";

describe("the bill of endpoints", () => {
  it("has a record for each endpoint and day with usage, and the sum of them", async () => {
    const { ask, endpointId } = await billed();
    const { body } = await ask(`/serverless?${JUNE}`);
    const range = { startTime: "2026-06-01T00:00:00.000Z", endTime: "2026-06-02T00:00:00.000Z" };
    const rest = { cpuAmount: 0, diskAmount: 0, feeAmount: 0 };
    expect(body.records).toHaveLength(2);
    expect(body.records).toContainEqual({
      ...range,
      ...rest,
      totalAmount: 0.5,
      gpuAmount: 0.5,
      serverlessId: endpointId,
    });
    expect(body.records).toContainEqual({
      ...range,
      ...rest,
      totalAmount: 0.1,
      gpuAmount: 0.1,
      serverlessId: "ep-other",
    });
    expect(body.metadata).toEqual({
      query: {
        startTime: "2026-06-01T00:00:00.000Z",
        endTime: "2026-06-03T00:00:00.000Z",
        bucketSize: "day",
        serverlessId: null,
      },
      recordCount: 2,
      uniqueServerlessCount: 2,
      totals: { totalAmount: 0.6, gpuAmount: 0.6, ...rest },
    });
  });

  it("is of one endpoint, by its id or slug, and of none that another tenant has", async () => {
    const { ask, endpointId, slug } = await billed();
    for (const name of [endpointId, slug]) {
      const { body } = await ask(`/serverless?${JUNE}&serverlessId=${name}`);
      expect(body.records).toMatchObject([{ serverlessId: endpointId, totalAmount: 0.5 }]);
      expect(body.metadata.query.serverlessId).toBe(name);
    }
    const stranger = await billed();
    expect((await stranger.ask(`/serverless?${JUNE}&serverlessId=${endpointId}`)).body.records).toEqual([]);
  });

  it("cuts time by each size as the window does", async () => {
    const { ask } = await billed();
    for (const size of BUCKET_SIZES) {
      const { body } = await ask(`?startTime=2026-01-01T00:00:00Z&endTime=2027-01-01T00:00:00Z&bucketSize=${size}`);
      for (const { startTime } of body.records) {
        expect(startOfBucket(Date.parse(startTime), size), size).toBe(Date.parse(startTime));
      }
      const sum = body.records.reduce(
        (total: number, { totalAmount }: { totalAmount: number }) => total + totalAmount,
        0,
      );
      expect(sum, size).toBeCloseTo(1.605, 9);
    }
    const { body } = await ask("?startTime=2026-05-01T00:00:00Z&endTime=2026-07-01T00:00:00Z&bucketSize=month");
    expect(body.records).toMatchObject([
      { startTime: "2026-05-01T00:00:00.000Z", totalAmount: 1, serverlessGpuAmount: 1, podGpuAmount: 0 },
      { startTime: "2026-06-01T00:00:00.000Z", totalAmount: 0.605 },
    ]);
  });

  it("is about the last buckets up to the present one", async () => {
    const { ask, tenantId, endpointId } = await billed();
    await writeUsage(env.DB, tenantId, "broker", 6, [line(endpointId, new Date().toISOString(), 7_000_000)]);
    const { body } = await ask("?lastN=2&bucketSize=year");
    expect(body.metadata.query.bucketSize).toBe("year");
    expect(body.metadata.totals.totalAmount).toBeGreaterThan(0);
    expect((await ask("/serverless")).body.records.at(-1)).toMatchObject({ totalAmount: 0.007 });
  });

  it("refuses a time that cannot be, and more records than an answer may have", async () => {
    const { ask, tenantId } = await billed();
    expect(await ask(`?lastN=2&${JUNE}`)).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("?lastN") },
    });
    const reversed = "?startTime=2026-06-03T01:00:00Z&endTime=2026-06-03T00:00:00Z";
    expect(await ask(reversed)).toMatchObject({ status: 400, body: { detail: expect.stringContaining("?endTime") } });
    for (const query of ["?startTime=yesterday", "?lastN=0", "?bucketSize=minute", "?bogus=1", "?lastN=1001"]) {
      expect((await ask(query)).status, query).toBe(422);
    }
    const many = Array.from({ length: 1_001 }, (_, at) => line(`ep-${at}`, "2026-07-01T00:00:00Z", 1));
    await writeUsage(env.DB, tenantId, "broker", 1_100, many);
    const july = "startTime=2026-07-01T00:00:00Z&endTime=2026-07-02T00:00:00Z";
    const refused = await ask(`/serverless?${july}`);
    expect(refused).toMatchObject({ status: 400, body: { detail: expect.stringContaining("1000 records") } });
    expect((await ask(`?${july}`)).body.records).toHaveLength(1);
  });

  it("shows a key for some endpoints those alone", async () => {
    const { ask, tenantId, endpointId } = await billed();
    await env.DB.prepare("UPDATE api_keys SET endpoint_ids = ? WHERE tenant_id = ?")
      .bind(JSON.stringify([endpointId]), tenantId)
      .run();
    const { body } = await ask(`/serverless?${JUNE}`);
    expect(body.records).toMatchObject([{ serverlessId: endpointId }]);
    expect((await ask("")).status).toBe(403);
  });
});

describe("the bill of what is not here", () => {
  it("is empty, in RunPod's form", async () => {
    const { ask } = await billed();
    const { body } = await ask(`/pods?${JUNE}&podId=pod1`);
    expect(body).toEqual({
      records: [],
      metadata: {
        query: {
          startTime: "2026-06-01T00:00:00.000Z",
          endTime: "2026-06-03T00:00:00.000Z",
          bucketSize: "day",
          podId: "pod1",
        },
        recordCount: 0,
        uniquePodCount: 0,
        totals: { totalAmount: 0, gpuAmount: 0, cpuAmount: 0, diskAmount: 0 },
      },
    });
    for (const path of ["/endpoints", "/network-volumes", "/clusters"]) {
      expect((await ask(path)).body.records, path).toEqual([]);
    }
    expect((await ask("/endpoints?podId=x")).status).toBe(422);
  });
});
