// What a worker reads of a poll's answer.
import { expect, it } from "vitest";
import { readJobs } from "../../src/sdk/worker-api.ts";

const answer = (jobs: unknown) => ({ status: 200, text: JSON.stringify(jobs), retryAfterMs: null });

it("is every job that was handed out, whatever one of them has as its input", () => {
  // Texts that the edge does not parse, because they have one place in the engine's tables (core/json/digits.ts).
  const slow = Array.from({ length: 20_000 }, (_, at) => String(7 + at * 65_536));
  const jobs = [
    { id: "a", input: slow },
    { id: "b", input: null, webhook: "https://a.test/" },
  ];
  expect(readJobs(answer(jobs))?.map(({ id }) => id)).toEqual(["a", "b"]);
  expect(readJobs(answer(jobs[1]))).toEqual([jobs[1]]);
});

it("leaves out what is no job", () => {
  expect(readJobs(answer([{ id: 1, input: 1 }, { id: "a", input: null }, null]))).toEqual([{ id: "a", input: null }]);
  expect(readJobs(answer([]))).toEqual([]);
});

it("is null where the answer hands none out: a worker that got such answers in silence would look healthy and do nothing", () => {
  expect(readJobs({ status: 200, text: "<html>", retryAfterMs: null })).toBeNull();
  expect(readJobs(answer([{ id: 1, input: 1 }, { id: "a" }]))).toBeNull();
  expect(readJobs(answer({ message: "sign in" }))).toBeNull();
  expect(readJobs({ status: 204, text: "", retryAfterMs: null })).toBeNull();
});
