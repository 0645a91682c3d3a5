import { expect, it } from "vitest";
import { mayReportStart, reportsIdleness } from "../../../src/core/scheduling/sdk-version.ts";

it.each([
  ["1.10.0", false, false],
  ["1.10.1", true, false],
  ["1.12.0", true, false],
  ["2.0.0rc2", true, true],
  ["Waybill-Worker/0.1.0", true, true],
  ["dev", false, true],
  [null, false, true],
])(
  "a worker of release %s is believed to run nothing: %s, and to report a failed start: %s",
  (version, idle, start) => {
    expect([reportsIdleness(version), mayReportStart(version)]).toEqual([idle, start]);
  },
);
