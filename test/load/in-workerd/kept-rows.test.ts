// As many kept jobs as one endpoint may have: a start of its object reads no more for them.
import { expect, it } from "vitest";
import { startBeside } from "../../support/kept-jobs.ts";

it("a start beside 1,000,000 kept jobs and 1,000 live ones reads 5 rows a live one and 1,000 more, and answers within 3 s", {
  timeout: 120_000,
}, async () => {
  const { idle, busy } = await startBeside(999_001, 999);
  expect(idle.rowsRead).toBeLessThan(1_000);
  expect(busy.rowsRead).toBeLessThanOrEqual(5 * 999 + 1_000);
  expect(busy.tookMs).toBeLessThan(3_000);
  console.info(`a start beside 999,001 kept jobs reads ${busy.rowsRead} rows in ${busy.tookMs} ms`);
});
