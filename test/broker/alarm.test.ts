// The alarm of a broker and the list of what it is for: one more part is one more entry, which is armed and run like the others.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Timed } from "../../src/broker/alarm.ts";
import type { EndpointBroker } from "../../src/broker/endpoint-broker.ts";
import { ALARM_ROWS_MAX, ALARM_STEP_MS, TURN_ROWS_MAX } from "../../src/core/limits.ts";
import { makeBroker, settings, submission } from "../support/broker.ts";

/** A whole step of the alarm, so that nothing is rounded. */
const START_MS = 2_000_000_000_000;
const IN_A_MINUTE_MS = START_MS + 60_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(START_MS);
});

afterEach(() => vi.useRealTimers());

/** Due at one time, and never after it has run. Notes when it ran. */
class OnceDue implements Timed {
  readonly ranAtMs: number[] = [];
  #atMs: number;

  constructor(atMs: number) {
    this.#atMs = atMs;
  }

  nextAtMs(): number {
    return this.#atMs;
  }

  run(nowMs: number): boolean | Promise<void> {
    if (nowMs < this.#atMs) return false;
    this.#atMs = Number.POSITIVE_INFINITY;
    this.ranAtMs.push(nowMs);
    return false;
  }
}

/** A broker whose alarm is for these parts, too; a call has armed it. */
async function brokerWith(...parts: readonly Timed[]): Promise<string> {
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
    (instance as EndpointBroker).timed.push(...parts);
  });
  await broker.configure(settings({ endpointId, version: 2, upstreams: [] }));
  return endpointId;
}

function alarmOf(endpointId: string): Promise<number | null> {
  return runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, state) => state.storage.getAlarm());
}

async function ring(endpointId: string, nowMs: number): Promise<void> {
  vi.setSystemTime(nowMs);
  await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
}

describe("a part that is added to the list of the alarm", () => {
  it("is armed, run when its time has come, and not before", async () => {
    const part = new OnceDue(IN_A_MINUTE_MS);
    const endpointId = await brokerWith(part);
    expect(await alarmOf(endpointId)).toBe(IN_A_MINUTE_MS);
    await ring(endpointId, IN_A_MINUTE_MS - ALARM_STEP_MS);
    expect(part.ranAtMs).toEqual([]);
    expect(await alarmOf(endpointId)).toBe(IN_A_MINUTE_MS);
    await ring(endpointId, IN_A_MINUTE_MS);
    expect(part.ranAtMs).toEqual([IN_A_MINUTE_MS]);
    expect(await alarmOf(endpointId)).toBe(null);
  });

  it("does not hold up the others when it throws", async () => {
    const broken: Timed = {
      nextAtMs: () => IN_A_MINUTE_MS,
      run: () => {
        throw new Error("a bug");
      },
    };
    const next = new OnceDue(IN_A_MINUTE_MS);
    const endpointId = await brokerWith(broken, next);
    await ring(endpointId, IN_A_MINUTE_MS);
    expect(next.ranAtMs).toEqual([IN_A_MINUTE_MS]);
    expect(await alarmOf(endpointId)).toBe(IN_A_MINUTE_MS);
  });

  it("does so many portions an alarm, and the rest in the next one", async () => {
    let portions = 0;
    const endless: Timed = {
      nextAtMs: () => IN_A_MINUTE_MS,
      run: (nowMs) => {
        if (nowMs < IN_A_MINUTE_MS) return false;
        portions += 1;
        return true;
      },
    };
    const endpointId = await brokerWith(endless);
    await ring(endpointId, IN_A_MINUTE_MS);
    expect(portions).toBe(ALARM_ROWS_MAX / TURN_ROWS_MAX);
    expect(await alarmOf(endpointId)).toBe(IN_A_MINUTE_MS);
  });

  it("is told the time of each turn: what came in since the first one is not taken up before it was there", async () => {
    const ranAtMs: number[] = [];
    const slow: Timed = {
      nextAtMs: () => (ranAtMs.length < 3 ? IN_A_MINUTE_MS : Number.POSITIVE_INFINITY),
      run: (nowMs) => {
        if (nowMs < IN_A_MINUTE_MS || ranAtMs.length === 3) return false;
        ranAtMs.push(nowMs);
        vi.setSystemTime(nowMs + 40);
        return ranAtMs.length < 3;
      },
    };
    await ring(await brokerWith(slow), IN_A_MINUTE_MS);
    expect(ranAtMs).toEqual([IN_A_MINUTE_MS, IN_A_MINUTE_MS + 40, IN_A_MINUTE_MS + 80]);
  });

  it("may begin work that the alarm does not wait for, and after which it is armed anew", async () => {
    let end = (): void => undefined;
    let dueAtMs = IN_A_MINUTE_MS;
    const slow: Timed = {
      nextAtMs: () => dueAtMs,
      run: async () => {
        dueAtMs = Number.POSITIVE_INFINITY;
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        dueAtMs = IN_A_MINUTE_MS + 5_000;
      },
    };
    const endpointId = await brokerWith(slow);
    await ring(endpointId, IN_A_MINUTE_MS);
    expect(await alarmOf(endpointId)).toBe(null);
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), () => end());
    await vi.waitFor(async () => expect(await alarmOf(endpointId)).toBe(IN_A_MINUTE_MS + 5_000));
  });

  it("does not put off what is due earlier", async () => {
    const { endpointId, broker } = await makeBroker({ upstreams: [] });
    await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (instance) => {
      (instance as EndpointBroker).timed.push(new OnceDue(IN_A_MINUTE_MS));
    });
    await broker.submit(submission({ policy: { executionTimeoutMs: null, ttlMs: 30_000, lowPriority: false } }));
    expect(await alarmOf(endpointId)).toBe(START_MS + 30_000);
  });
});
