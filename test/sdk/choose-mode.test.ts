import { describe, expect, it } from "vitest";
import { chooseMode, logLevelIn } from "../../src/sdk/choose-mode.ts";

const GET_JOB = { RUNPOD_WEBHOOK_GET_JOB: "https://waybill.test/v2/ep/job-take/$RUNPOD_POD_ID?gpu=X" };
const none = () => null;
const serve = (host = "localhost", port = 8000) => ({ kind: "serve", host, port });
const once = (input: unknown, id = "local_test") => ({ kind: "once", job: { id, input } });

describe("what a worker does", () => {
  it.each([
    ["nothing is said", [], {}, serve()],
    ["there is an address of jobs", [], GET_JOB, { kind: "loop" }],
    ["that address is empty, as an unset variable of a container is", [], { RUNPOD_WEBHOOK_GET_JOB: " " }, serve()],
    // The loop then says which address is missing.
    ["MODE=serverless has no address", [], { MODE: "serverless" }, { kind: "loop" }],
    ["MODE=pod", [], { MODE: "pod" }, serve()],
    ["MODE=pod goes before a test input", ["--test_input", '{"input":1}'], { MODE: "pod" }, serve()],
    ["an address goes before MODE=pod", [], { ...GET_JOB, MODE: "pod" }, { kind: "loop" }],
    ["MODE is a word of somebody else's", [], { MODE: "production" }, serve()],
    ["--rp_serve_api goes before all", ["--rp_serve_api", "--test_input", "{}"], GET_JOB, serve()],
    [
      "host and port are given",
      ["--rp_api_port", "80", "--rp_api_host=0.0.0.0", "--rp_serve_api"],
      {},
      serve("0.0.0.0", 80),
    ],
    ["its input schema is asked for", ["--rp_serve_api", "--waybill_input_schema"], GET_JOB, { kind: "input_schema" }],
    ["--test_input", ["--test_input", '{"input":{"a":1}}'], {}, once({ a: 1 })],
    ["--test_input=", ['--test_input={"input":null,"id":"mine"}'], {}, once(null, "mine")],
    ["an address goes before --test_input", ["--test_input", "{}"], GET_JOB, { kind: "loop" }],
    ["others have arguments", ["--model", "tiny", "--rp_log_level", "DEBUG", "more"], {}, serve()],
  ])("where %s", (_title, args, variables, mode) => {
    expect(chooseMode(args, variables, none)).toEqual(mode);
  });

  it("takes test_input.json where nothing else is said", () => {
    const file = () => '{"input":{"a":1},"webhook":"x"}';
    expect(chooseMode([], {}, file)).toEqual({
      kind: "once",
      job: { id: "local_test", input: { a: 1 }, webhook: "x" },
    });
    expect(chooseMode(["--rp_serve_api"], {}, file)).toEqual(serve());
    expect(chooseMode(["--test_input", '{"input":2}'], {}, file)).toEqual(once(2));
  });

  it.each([
    [["--rp_api_port", "x"], null, '--rp_api_port must be a port from 0 to 65535, not "x"'],
    [["--rp_api_port=65536"], null, '--rp_api_port must be a port from 0 to 65535, not "65536"'],
    [["--test_input", "{"], null, "--test_input must be a JSON object with input"],
    [["--test_input"], null, "--test_input must be a JSON object with input"],
    [["--test_input", '{"input":1,"id":2}'], null, "id in --test_input must be a text"],
    [[], '{"a":1}', "test_input.json must be a JSON object with input"],
  ])("is refused in one sentence: %s", (args, file, words) => {
    expect(() => chooseMode(args, {}, () => file)).toThrow(words);
  });

  it("finds the level of the log", () => {
    expect(logLevelIn(["--rp_log_level", "ERROR", "--rp_log_level=DEBUG"])).toBe("DEBUG");
    expect(logLevelIn(["--rp_serve_api"])).toBeUndefined();
  });
});
