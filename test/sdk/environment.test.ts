import { describe, expect, it } from "vitest";
import { inForm, workerVariables } from "../../src/core/manage/worker-forms.ts";
import { readEnvironment, withParameters } from "../../src/sdk/environment.ts";

/** As `npm run worker:env` prints it. */
const printed = Object.fromEntries(
  inForm("docker", { base: "https://waybill.test", endpointId: "ep-1", key: "wb_live_key", gpu: "L4" }).lines.map(
    (line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    },
  ),
);

describe("the environment of a worker", () => {
  it("is what worker:env prints", () => {
    const place = readEnvironment({ ...printed, RUNPOD_POD_ID: "w 1" }, "new");
    expect(place).toMatchObject({ workerId: "w 1", key: "wb_live_key", pingIntervalMs: 10_000 });
    expect(place.takeUrl).toMatch(/^https:\/\/waybill\.test\/v2\/ep-1\/job-take\/w 1\?/);
    expect(place.takeBatchUrl).toContain("/job-take-batch/w 1?");
    expect(place.stopUrl).toContain("/job-stop/w 1?");
    expect(place.doneUrl("a/b")).toContain("/job-done/w 1/a%2Fb?");
    expect(place.streamUrl?.("j")).toContain("/job-stream/w 1/j?");
    expect(place.pingUrl).toContain("/ping/w 1?");
  });

  it("of a machine of a fleet has the id of the machine in each address, whatever its provider sets", () => {
    const machine = { instanceId: "k3v9x0ab12cd", endsAtMs: Date.parse("2027-01-31T12:00:00Z") };
    const place = { base: "https://waybill.test", endpointId: "ep-1", key: "wb_live_key", gpu: "NVIDIA L4", machine };
    const variables = Object.fromEntries(workerVariables(place));
    expect(variables).toMatchObject({
      RUNPOD_POD_ID: "k3v9x0ab12cd",
      RUNPOD_ENDPOINT_ID: "ep-1",
      RUNPOD_AI_API_KEY: "wb_live_key",
      RUNPOD_PING_INTERVAL: "10000",
      WAYBILL_WORKER_ENDS_AT: "2027-01-31T12:00:00.000Z",
    });
    for (const workerId of ["k3v9x0ab12cd", "podx7y8z9", ""]) {
      const read = readEnvironment({ ...variables, RUNPOD_POD_ID: workerId }, "new");
      expect(read.takeUrl).toBe("https://waybill.test/v2/ep-1/job-take/k3v9x0ab12cd?gpu=NVIDIA+L4");
      expect(read.takeBatchUrl).toContain("/job-take-batch/k3v9x0ab12cd?");
      expect(read.stopUrl).toContain("/job-stop/k3v9x0ab12cd?");
      expect(read.doneUrl("j1")).toContain("/job-done/k3v9x0ab12cd/j1?");
      expect(read.streamUrl?.("j1")).toContain("/job-stream/k3v9x0ab12cd/j1?");
      expect(read.pingUrl).toContain("/ping/k3v9x0ab12cd?");
    }
  });

  it("has an id of its own where none is given", () => {
    expect(readEnvironment({ ...printed, RUNPOD_POD_ID: "" }, "new").takeUrl).toContain("/job-take/new?");
  });

  it("keeps what a worker's id has that a replacement would take for a sign", () => {
    expect(readEnvironment({ ...printed, RUNPOD_POD_ID: "$&" }, "new").takeUrl).toContain("/job-take/$&?");
  });

  it.each([
    ["RUNPOD_WEBHOOK_GET_JOB", undefined, "RUNPOD_WEBHOOK_GET_JOB is not set"],
    ["RUNPOD_WEBHOOK_POST_OUTPUT", " ", "RUNPOD_WEBHOOK_POST_OUTPUT is not set"],
    ["RUNPOD_WEBHOOK_GET_JOB", "waybill.test/x", 'RUNPOD_WEBHOOK_GET_JOB must be an address, not "waybill.test/x"'],
    [
      "RUNPOD_WEBHOOK_PING",
      "http://h:99999/ping?x",
      'RUNPOD_WEBHOOK_PING must be an address, not "http://h:99999/ping?x"',
    ],
    ["RUNPOD_PING_INTERVAL", "10s", 'RUNPOD_PING_INTERVAL must be milliseconds, at least 1000, not "10s"'],
    ["RUNPOD_PING_INTERVAL", "10", "at least 1000"],
  ])("is refused with the name of %s when that is %s", (name, value, words) => {
    expect(() => readEnvironment({ ...printed, [name]: value }, "new")).toThrow(words);
  });
});

it("puts parameters behind an address with some, and with none", () => {
  expect(withParameters("https://a.test/x?gpu=L4", { job_in_progress: 0 })).toBe(
    "https://a.test/x?gpu=L4&job_in_progress=0",
  );
  expect(withParameters("https://a.test/x", { reason: "a b" })).toBe("https://a.test/x?reason=a+b");
});
