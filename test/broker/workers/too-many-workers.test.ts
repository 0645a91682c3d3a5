// More pulling workers than an endpoint keeps in mind: the one too many is slowed down like any other that is refused.
import { expect, it } from "vitest";
import { WORKERS_MAX } from "../../../src/core/limits.ts";
import { makeBroker, workerKey } from "../../support/broker.ts";

const HOLD_MS = 300;

it("refuses its take, and lets it wait in job-stop", async () => {
  const { broker } = await makeBroker({ upstreams: [], workerKeys: [workerKey({ id: "key1" })] });
  const nameOf = (workerId: string) => ({ keyId: "key1", workerId });
  const about = { gpu: null, version: null };
  const others = Array.from({ length: WORKERS_MAX }, (_, n) => nameOf(`w${n}`));
  await Promise.all(others.map((name) => broker.ping({ ...name, ...about, jobIds: [], unfit: null, leaving: false })));
  const name = nameOf("one-more");
  const taken = await broker.takeJobs({ ...name, ...about, pollId: "p", wanted: 1, idle: true });
  expect(taken).toMatchObject({ ok: false, failure: { kind: "too_many_workers" } });
  const startedMs = performance.now();
  expect(await broker.awaitStops({ ...name, holdMs: HOLD_MS })).toEqual([]);
  // A timer may be a few milliseconds early.
  expect(performance.now() - startedMs).toBeGreaterThan(HOLD_MS - 10);
});
