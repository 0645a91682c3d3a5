// What leaves a broker is counted at its size, so that a turn's bound holds.
import { expect, it } from "vitest";
import { viewBytes } from "../../../src/broker/jobs/egress-bytes.ts";
import { viewJob } from "../../../src/broker/jobs/view.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { type Job, NOT_RUN } from "../../../src/core/job/job.ts";

it("counts a failed job with its error, which a view has twice: as a text and in its failure", () => {
  const failure = failed("handler_error", "é".repeat(4_000));
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
  expect(viewBytes(view)).toBeGreaterThanOrEqual(new TextEncoder().encode(JSON.stringify(view)).length);
});
