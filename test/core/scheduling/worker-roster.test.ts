// The roster of pulling workers: how many polls may be open.
import { expect, it } from "vitest";
import { WORKER_POLLS_MAX, WORKER_POLLS_TOTAL_MAX, WORKERS_MAX } from "../../../src/core/limits.ts";
import { type RosterWorker, WorkerRoster } from "../../../src/core/scheduling/worker-roster.ts";

const NOW_MS = 1_790_000_000_000;

function heard(roster: WorkerRoster, workerId: string): RosterWorker {
  const worker = roster.hear({ keyId: "key", workerId }, NOW_MS);
  if (worker === null) throw new Error("the roster has no room");
  return worker;
}

const idsOf = (polls: readonly { readonly pollId: string }[]) => polls.map(({ pollId }) => pollId);

it("a crowded endpoint leaves no poll to a process that is taken to be gone", () => {
  const roster = new WorkerRoster();
  let polls = 0;
  for (let worker = 0; polls < WORKER_POLLS_TOTAL_MAX - 2; worker += 1) {
    for (let poll = 0; poll < WORKER_POLLS_MAX && polls < WORKER_POLLS_TOTAL_MAX - 2; poll += 1, polls += 1) {
      roster.open(heard(roster, `w${worker}`), { pollId: `${worker}/${poll}`, wanted: 1 }, false, NOW_MS);
    }
  }
  const one = heard(roster, "one");
  expect(idsOf(roster.open(one, { pollId: "a", wanted: 1 }, true, NOW_MS))).toEqual([]);
  expect(roster.isCrowded).toBe(false);
  expect(idsOf(roster.open(one, { pollId: "b", wanted: 1 }, true, NOW_MS))).toEqual(["a"]);
  expect(roster.isCrowded).toBe(true);
  roster.close("a", true, NOW_MS);
  roster.close("b", true, NOW_MS);
  expect(roster.isCrowded).toBe(false);
});

it("every worker has room for a poll before an endpoint is crowded", () => {
  expect(WORKER_POLLS_TOTAL_MAX).toBeGreaterThanOrEqual(2 * WORKERS_MAX);
});

it("a worker's oldest polls end when it has too many", () => {
  const roster = new WorkerRoster();
  const worker = heard(roster, "many");
  for (let poll = 0; poll < WORKER_POLLS_MAX; poll += 1) {
    expect(roster.open(worker, { pollId: `p${poll}`, wanted: 1 }, false, NOW_MS)).toEqual([]);
  }
  expect(idsOf(roster.open(worker, { pollId: "more", wanted: 1 }, false, NOW_MS))).toEqual(["p0"]);
});
