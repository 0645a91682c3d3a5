// What an OpenAI client is told when an answer ends of which it has had a part.
import { expect, it } from "vitest";
import { failed, failureOfText } from "../../../src/core/job/failure.ts";
import { errorInAnswer } from "../../../src/core/job/openai-error.ts";

const cancelled = { status: "CANCELLED", error: null, failure: null } as const;
const LOST = "the worker was lost in the middle of its answer";

function failedWith(failure: ReturnType<typeof failed>) {
  return { status: "FAILED", error: failure.message, failure } as const;
}

it.each([
  ["a cancel", cancelled, "the job was cancelled", "cancelled"],
  [
    "its time limit",
    failedWith(failed("execution_timeout", "executionTimeout exceeded")),
    "the answer took longer than the endpoint lets it",
    "broke_off",
  ],
  [
    "a broker that has had no renewal from the client's request",
    failedWith(failed("client_lost", "the request of the client that carried the job was lost")),
    "the endpoint lost the request in the middle of its answer",
    "broke_off",
  ],
  [
    "its ttl",
    { ...cancelled, status: "TIMED_OUT" },
    "the job is gone before its answer was whole: its ttl has passed, or it ended a while ago",
    "broke_off",
  ],
  ["the loss of its worker, and waits for another one", { ...cancelled, status: "IN_QUEUE" }, LOST, "broke_off"],
  ["another attempt's result", { ...cancelled, status: "COMPLETED" }, LOST, "broke_off"],
  ["an error of its handler", failedWith(failureOfText("no cuda")), "no cuda", "server_error"],
  [
    "an error of its server, with that one's own code",
    failedWith(failureOfText('{"error":{"message":"too long","type":"x","param":"messages","code":"context_length"}}')),
    "too long",
    "context_length",
  ],
] as const)("the answer of a job that ends by %s ends with that error, which has a code", (_by, job, message, code) => {
  expect(errorInAnswer(job).error).toEqual({ message, type: "server_error", param: null, code });
});
