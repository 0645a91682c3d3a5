// A job that has ended with a long error: its text counts into its tenant's share, and is not held in memory.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { parseJob, type StoredJob } from "../../../src/broker/store/job-row.ts";
import { RowCache } from "../../../src/broker/store/row-cache.ts";
import { failed } from "../../../src/core/job/failure.ts";
import { type Job, NOT_RUN } from "../../../src/core/job/job.ts";
import { ERROR_TEXT_MAX_BYTES } from "../../../src/core/limits.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";

const OUTPUT = { kind: "inline", bytes: new TextEncoder().encode('"some"') } as const;

afterEach(() => vi.restoreAllMocks());

it("counts with its output, until it is sent back", async () => {
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker();
  const storedOf = () =>
    runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) =>
      storage.sql
        .exec<{ facts: string }>("SELECT facts FROM jobs")
        .toArray()
        .map(({ facts }) => parseJob(facts).stored?.output),
    );
  const call = submission();
  await broker.submit(call);
  await vi.waitFor(() => expect(given).toHaveLength(1));
  const failure = failed("handler_error", "é".repeat(ERROR_TEXT_MAX_BYTES));
  const outcome = { kind: "handler_error", failure, output: OUTPUT } as const;
  await broker.finish({ jobId: call.jobId, lease: given[0]?.lease ?? "", outcome });
  expect(await storedOf()).toEqual([ERROR_TEXT_MAX_BYTES + OUTPUT.bytes.length]);
  await broker.retry({ tenantId: "owner", jobId: call.jobId });
  expect(await storedOf()).toEqual([0]);
});

it("is not kept in the cache of rows", () => {
  const cache = new RowCache();
  const running = { ...NOT_RUN, uuid: "u", status: "IN_PROGRESS" } as unknown as Job;
  const ended = (message: string): Job => ({ ...running, status: "FAILED", failure: failed("handler_error", message) });
  const stored = { job: running } as unknown as StoredJob;
  cache.entered(stored, 2);
  cache.changed(ended("short"));
  expect(cache.get("u")?.job.status).toBe("FAILED");
  cache.changed(ended("x".repeat(ERROR_TEXT_MAX_BYTES)));
  expect(cache.get("u")).toBeUndefined();
});
