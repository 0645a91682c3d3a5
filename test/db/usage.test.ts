// The record of usage: what a question about it reads.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { readUsage, writeUsage } from "../../src/db/usage.ts";
import { metered } from "../support/d1.ts";
import { usageLine } from "../support/usage-line.ts";

const line = (source: string) => usageLine({ source, amountNanodollars: 5 });

it("reads of one job its lines, and not every line of the tenant", async () => {
  const lines = Array.from({ length: 2_000 }, (_, at) => line(`job-${at}`));
  await writeUsage(env.DB, "usage-by-job", "ep", 2_000, lines);
  const filter = { jobUuid: "job-700", endpointId: null, fromMs: 0, toMs: 10_000, limit: 1_000 };
  const { read, answer } = await metered(() => readUsage(env.DB, "usage-by-job", filter));
  expect(answer).toEqual({ lines: [line("job-700")], totalNanodollars: "5" });
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThanOrEqual(10);
  const after = { source: "job-700", seq: 1 };
  const page = await metered(() => readUsage(env.DB, "usage-by-job", { ...filter, jobUuid: null, after, limit: 10 }));
  expect([page.answer.lines[0]?.source, page.answer.lines.length]).toEqual(["job-70", 10]);
  expect(page.answer.totalNanodollars).toBeNull();
  expect(page.read).toBeLessThanOrEqual(11);
  const all = await readUsage(env.DB, "usage-by-job", { ...filter, jobUuid: null });
  expect([all.lines.length, all.totalNanodollars]).toEqual([1_000, "10000"]);
});
