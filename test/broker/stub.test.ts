// Calls to a broker: made again when the platform says that this is safe, and never when it is overloaded.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { callBroker } from "../../src/broker/stub.ts";

/** A namespace whose stubs fail with the given flags, one after the other, and then answer. */
function failingEnv(...flags: Record<string, boolean>[]): { env: Env; calls: () => number } {
  let calls = 0;
  const stub = {
    depth: async () => {
      const failure = flags[calls];
      calls += 1;
      if (failure !== undefined) throw Object.assign(new Error("broken"), failure);
      return { waiting: 1, running: 2 };
    },
  };
  const namespace = { getByName: () => stub } as unknown as Env["ENDPOINT_BROKER"];
  return { env: { ...env, ENDPOINT_BROKER: namespace }, calls: () => calls };
}

function askDepth(failing: { env: Env }, idempotent: boolean) {
  return callBroker(failing.env, "ep", (broker) => broker.depth({ tenantId: "t" }), { idempotent });
}

describe("a call to a broker", () => {
  it("is made again after a reset and after a retryable error", async () => {
    const failing = failingEnv({ durableObjectReset: true }, { retryable: true });
    expect(await askDepth(failing, true)).toEqual({ ok: true, value: { waiting: 1, running: 2 } });
    expect(failing.calls()).toBe(3);
  });

  it("is made once when it is not idempotent", async () => {
    const failing = failingEnv({ retryable: true });
    expect(await askDepth(failing, false)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(1);
  });

  it("is not made again when the broker is overloaded, whatever else the error says", async () => {
    const failing = failingEnv({ overloaded: true, retryable: true });
    expect(await askDepth(failing, true)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(1);
  });

  it("gives up after some tries", async () => {
    const failing = failingEnv(...Array.from({ length: 20 }, () => ({ retryable: true })));
    expect(await askDepth(failing, true)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(5);
  });

  it("throws what the broker's own code threw", async () => {
    const failing = failingEnv({ remote: true });
    await expect(askDepth(failing, true)).rejects.toThrow("broken");
  });
});
