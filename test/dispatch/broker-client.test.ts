// Calls to a broker: made again when the platform says that this is safe, and never when it is overloaded.
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { BrokerApi } from "../../src/contract/broker.ts";
import type { EndpointSettings } from "../../src/contract/settings.ts";
import { SETTINGS_PUSH_MAX_MS } from "../../src/core/endpoint/limits.ts";
import { fail, ok } from "../../src/core/failure.ts";
import { BrokerClient } from "../../src/dispatch/broker-client.ts";

afterEach(() => vi.useRealTimers());

/** An environment whose broker is this one. */
function envWith(broker: Partial<BrokerApi>): Env {
  return { ...env, ENDPOINT_BROKER: { getByName: () => broker } as unknown as Env["ENDPOINT_BROKER"] };
}

/** A namespace whose stubs fail with the given flags, one after the other, and then answer. */
function failingEnv(...flags: Record<string, boolean>[]): { env: Env; calls: () => number } {
  let calls = 0;
  const answer = <T>(value: T) => {
    const failure = flags[calls];
    calls += 1;
    if (failure !== undefined) throw Object.assign(new Error("broken"), failure);
    return value;
  };
  const broker = {
    depth: async () => answer({ waiting: 1, running: 2 }),
    purgeQueue: async () => answer({ removed: 1 }),
    changeJobs: async () => answer({ changed: 1, refused: 0, refusal: null, scanned: 1, next: null }),
  };
  return { env: envWith(broker), calls: () => calls };
}

function askDepth(failing: { env: Env }) {
  return new BrokerClient(failing.env, "ep").call("depth", { tenantId: "t" });
}

describe("a call to a broker", () => {
  it("is made again after a reset and after a retryable error", async () => {
    const failing = failingEnv({ durableObjectReset: true }, { retryable: true });
    expect(await askDepth(failing)).toEqual({ ok: true, value: { waiting: 1, running: 2 } });
    expect(failing.calls()).toBe(3);
  });

  it("is made once when a second one might do something anew", async () => {
    const failing = failingEnv({ retryable: true });
    const purged = await new BrokerClient(failing.env, "ep").call("purgeQueue", { tenantId: "t" });
    expect(purged).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(1);
  });

  it("that changes many jobs is made again when it cancels, and once when it retries", async () => {
    for (const [action, calls] of [
      ["cancel", 2],
      ["retry", 1],
    ] as const) {
      const failing = failingEnv({ retryable: true });
      const page = { tenantId: "t", filter: {}, before: null, limit: 100 };
      const answer = await new BrokerClient(failing.env, "ep").call("changeJobs", { ...page, action, waitingMax: 1 });
      expect(answer.ok).toBe(action === "cancel");
      expect(failing.calls()).toBe(calls);
    }
  });

  it("is not made again when the broker is overloaded, whatever else the error says", async () => {
    const failing = failingEnv({ overloaded: true, retryable: true });
    expect(await askDepth(failing)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(1);
  });

  it("gives up after some tries", async () => {
    const failing = failingEnv(...Array.from({ length: 20 }, () => ({ retryable: true })));
    expect(await askDepth(failing)).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(failing.calls()).toBe(5);
  });

  it("throws what the broker's own code threw", async () => {
    const failing = failingEnv({ remote: true });
    await expect(askDepth(failing)).rejects.toThrow("broken");
  });
});

describe("a broker that is behind", () => {
  const settings = { endpointId: "ep", version: 7 } as EndpointSettings;

  /** A broker that has taken settings of these versions, and knows a key from version `keySince` on. */
  function brokerBehind(keySince: number): { readonly env: Env; readonly taken: number[] } {
    const taken: number[] = [];
    const broker: Partial<BrokerApi> = {
      configure: async ({ version }) => {
        taken.push(version);
        return { version };
      },
      workerKey: async () =>
        taken.some((version) => version >= keySince) ? ok({ digest: "d" }) : fail({ kind: "settings_behind" }),
    };
    return { env: envWith(broker), taken };
  }

  it("is sent the settings that the caller has, and asked once more", async () => {
    const { env, taken } = brokerBehind(7);
    expect(await new BrokerClient(env, "ep", settings).call("workerKey", { keyId: "k" })).toEqual(ok({ digest: "d" }));
    expect(taken).toEqual([7]);
  });

  it("is not asked a third time", async () => {
    const { env, taken } = brokerBehind(8);
    const answer = await new BrokerClient(env, "ep", settings).call("workerKey", { keyId: "k" });
    expect(answer).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(taken).toEqual([7]);
  });

  it("is left alone where nobody has settings for it", async () => {
    const { env, taken } = brokerBehind(7);
    const answer = await new BrokerClient(env, "ep", async () => null).call("workerKey", { keyId: "k" });
    expect(answer).toEqual(fail({ kind: "settings_behind" }));
    expect(taken).toEqual([]);
  });
  it("is sent no settings that a slow request has had for long, but those that are loaded for it", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { env, taken } = brokerBehind(7);
    const slow = new BrokerClient(env, "ep", settings);
    const loading = new BrokerClient(env, "ep", async () => settings);
    vi.setSystemTime(Date.now() + SETTINGS_PUSH_MAX_MS + 1);
    const answer = await slow.call("workerKey", { keyId: "k" });
    expect(answer).toMatchObject({ ok: false, failure: { kind: "unavailable" } });
    expect(taken).toEqual([]);
    expect(await loading.call("workerKey", { keyId: "k" })).toEqual(ok({ digest: "d" }));
  });
});
