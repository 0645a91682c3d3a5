// The ids under which lines of the bill stand can be told from each other.
import { expect, it } from "vitest";
import { parseJobId, showJobId } from "../../../src/core/job/id.ts";
import { holderOfWorker } from "../../../src/core/job/worker-id.ts";
import { billedRequestId, isBilledRequest } from "../../../src/core/lb/request-id.ts";
import { billedHoldId, HELD_PREFIX } from "../../../src/core/meter/line-id.ts";

const UUID = "0193a0f2-7b1c-7def-8a11-000000000007";

it("a hold is named by the id of its upstream, or by that which its worker gave itself", () => {
  expect(billedHoldId("up-1")).toBe("active-up-1");
  expect(billedHoldId(holderOfWorker("key1", "gpu/1"))).toBe("active-gpu/1");
});

it("its line is neither one of a job nor one of a load-balanced request, whatever the worker is called", () => {
  for (const workerId of [UUID, `${UUID}-u1`, `lb-${UUID}`]) {
    const id = billedHoldId(holderOfWorker("key1", workerId));
    expect([parseJobId(id), isBilledRequest(id)]).toEqual([null, false]);
  }
  const others = [showJobId(UUID, "run"), showJobId(UUID, "runsync"), billedRequestId(UUID)];
  for (const id of others) expect(id.startsWith(HELD_PREFIX)).toBe(false);
});
