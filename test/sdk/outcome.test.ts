import { describe, expect, it } from "vitest";
import { errorOfChunk, progressBody, reportOf, reportOfStream, reportOfThrown } from "../../src/sdk/outcome.ts";

describe("the report of what a handler returned", () => {
  it.each([
    ["a value", 7, { output: 7 }, false],
    ["nothing", undefined, { output: null }, false],
    ["an empty object", {}, {}, false],
    ["a list", [], { output: [] }, false],
    ["an error beside an output", { error: "no", a: 1 }, { output: { a: 1 }, error: "no" }, true],
    ["an error that is an object", { error: { code: 1 } }, { error: { code: 1 } }, true],
    ["an empty error, which is none", { error: "", a: 1 }, { output: { a: 1 } }, false],
    ["a wish for a restart", { refresh_worker: true, a: 1 }, { output: { a: 1 }, stopPod: true }, false],
    ["a restart that is not wished for", { refresh_worker: false, a: 1 }, { output: { a: 1 } }, false],
    ["a Date, whose members are no output", new Date(0), { output: "1970-01-01T00:00:00.000Z" }, false],
  ])("%s", (_title, returned, body, isFailure) => {
    const report = reportOf(returned, false);
    expect([JSON.parse(report.body), report.isFailure]).toEqual([body, isFailure]);
  });

  it("has stopPod where the worker restarts after each job, however the job ended", () => {
    const reporter = { workerId: "w", hostname: "h", release: "1" };
    const reports = [reportOf(1, true), reportOf({ error: "x" }, true), reportOf(1n, true), reportOfStream([], true)];
    for (const { body } of [...reports, reportOfThrown(new Error("x"), reporter, true)]) {
      expect(JSON.parse(body)).toMatchObject({ stopPod: true });
    }
  });

  it("is a failure with the path where it is no JSON, in its error too", () => {
    expect(reportOf({ a: 1n }, false)).toEqual({
      body: expect.stringContaining("output.a is a BigInt"),
      isFailure: true,
    });
    expect(reportOf({ error: { a: 1n } }, false).body).toContain("error.a is a BigInt");
  });
});

describe("the report of what a handler threw", () => {
  const reporter = { workerId: "w1", hostname: "host", release: "1.2.3" };
  const read = (thrown: unknown) => JSON.parse(JSON.parse(reportOfThrown(thrown, reporter).body).error);

  it("has what was thrown, where, and by whom", () => {
    expect(read(new RangeError("too far"))).toEqual({
      error_type: "RangeError",
      error_message: "too far",
      error_traceback: expect.stringContaining("outcome.test"),
      hostname: "host",
      worker_id: "w1",
      sdk_version: "1.2.3",
    });
  });

  it("takes whatever can be thrown", () => {
    expect(read("words")).toMatchObject({ error_type: "string", error_message: "words" });
    expect(read(undefined)).toMatchObject({ error_type: "undefined", error_message: "undefined" });
    expect(read(Object.create(null))).toMatchObject({ error_type: "object" });
    expect(read(Symbol("s"))).toMatchObject({ error_type: "symbol", error_message: "Symbol(s)" });
  });
});

it("finds the error in a chunk, and none where there is only an empty one", () => {
  expect(errorOfChunk({ error: "x" })).toBe("x");
  expect(["text", 1, null, ["error"], { error: null }, { text: "error" }].map(errorOfChunk)).toEqual(
    Array(6).fill(null),
  );
});

it("has no progress of what is no JSON", () => {
  expect(progressBody({ percent: 1 })).toBe('{"status":"IN_PROGRESS","output":{"percent":1}}');
  expect(progressBody(1n)).toBeNull();
  const failing = () => {
    throw new Error("no text");
  };
  expect(progressBody({ toJSON: failing })).toBeNull();
});
