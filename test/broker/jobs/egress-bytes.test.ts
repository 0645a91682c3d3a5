// What leaves a broker is counted at its size, so that a turn's bound holds.
import { expect, it } from "vitest";
import {
  DELIVERY_MOST_BYTES,
  LIST_PAGE_MOST_BYTES,
  LISTED_MOST_BYTES,
  VIEW_MOST_BYTES,
  viewBytes,
} from "../../../src/broker/jobs/egress-bytes.ts";
import { viewJob } from "../../../src/broker/jobs/view.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { type Job, NOT_RUN } from "../../../src/core/job/job.ts";
import { ERROR_TEXT_MAX_BYTES, PAYLOAD_ROW_MAX_BYTES, TURN_BYTES_MAX } from "../../../src/core/limits.ts";

it("counts a failed job with its error, which a view has twice: as a text and in its failure", () => {
  const failure = failed("handler_error", "é".repeat(ERROR_TEXT_MAX_BYTES / 2));
  const job = {
    ...NOT_RUN,
    uuid: "u",
    mode: "run",
    round: 0,
    attempts: 1,
    status: "FAILED",
    failure,
  } as unknown as Job;
  const view = viewJob(job, null, null);
  expect(viewBytes(view)).toBeLessThan(VIEW_MOST_BYTES - PAYLOAD_ROW_MAX_BYTES);
  expect(viewBytes(view)).toBeGreaterThanOrEqual(new TextEncoder().encode(JSON.stringify(view)).length);
});

it("lets each view, list and delivery of the largest size leave in one turn", () => {
  for (const mostBytes of [VIEW_MOST_BYTES, LISTED_MOST_BYTES, LIST_PAGE_MOST_BYTES, DELIVERY_MOST_BYTES])
    expect(mostBytes).toBeLessThanOrEqual(TURN_BYTES_MAX);
});
