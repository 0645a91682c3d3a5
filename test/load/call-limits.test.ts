// 64 callers of one key at twice its limit, on the built broker: no window lets more through than the limit, every refusal says
// when to come again, whoever does is served, and what was refused has left nothing in the broker.
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { CALLS_WINDOW_SECONDS, OPERATION_LIMITS } from "../../src/core/access/limits.ts";
import { STREAM_COMMENT_EVERY_MS } from "../../src/core/limits.ts";
import { callBroker } from "../running/broker.ts";
import { type DirectBroker, startDirectBroker } from "../running/direct-broker.ts";

const CALLERS = 64;
const FOR_MS = 30_000;
const WINDOW_MS = CALLS_WINDOW_SECONDS * 1_000;
const { calls: LIMIT } = OPERATION_LIMITS.run;
/** Of one caller, so that all together come at twice the limit. */
const EVERY_MS = (CALLERS * WINDOW_MS) / (2 * LIMIT);

interface Answer {
  readonly status: number;
  readonly retryAfterSeconds: number;
  /** When the window ends that the call was counted in, epoch ms. */
  readonly windowEndMs: number;
  readonly tookMs: number;
}

let broker: DirectBroker;

beforeAll(async () => {
  broker = await startDirectBroker({ limited: {}, cut: {} });
});

afterAll(async () => {
  await broker?.stop();
});

async function run(): Promise<Answer> {
  const startedMs = performance.now();
  const response = await callBroker(`${broker.url}/v2/limited/run`, broker.key, { body: '{"input":{}}' });
  await response.arrayBuffer();
  const [, restSeconds = "0"] = /^"run";r=\d+;t=(\d+)/.exec(response.headers.get("ratelimit") ?? "") ?? [];
  return {
    status: response.status,
    retryAfterSeconds: Number(response.headers.get("retry-after") ?? Number.NaN),
    // Right for answers that were less than 9 s on their way.
    windowEndMs: Math.floor((Date.now() + Number(restSeconds) * 1_000) / WINDOW_MS) * WINDOW_MS,
    tookMs: performance.now() - startedMs,
  };
}

/** A caller that does not care about refusals, at its own pace. */
async function flood(untilMs: number, caller: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  const beganMs = Date.now() + (caller * EVERY_MS) / CALLERS;
  for (let call = 0; ; call += 1) {
    const atMs = beganMs + call * EVERY_MS;
    if (atMs >= untilMs) return answers;
    await sleep(Math.max(0, atMs - Date.now()));
    answers.push(await run());
  }
}

/** A caller that waits as it is told. */
async function obey(untilMs: number): Promise<Answer[]> {
  const answers: Answer[] = [];
  while (Date.now() < untilMs) {
    const answer = await run();
    answers.push(answer);
    await sleep(answer.status === 429 ? answer.retryAfterSeconds * 1_000 : 500);
  }
  return answers;
}

function quantile(values: readonly number[], part: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN).toFixed(1);
}

describe("64 callers at twice the limit for 30 s", () => {
  it("get what the limit allows and no more, and who obeys is served", async () => {
    const untilMs = Date.now() + FOR_MS;
    const flooding = Array.from({ length: CALLERS }, (_, caller) => flood(untilMs, caller));
    const [obedient, ...others] = await Promise.all([obey(untilMs), ...flooding]);
    const answers = [...others.flat(), ...obedient];
    const accepted = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status === 429);
    expect(accepted.length + refused.length).toBe(answers.length);
    const byWindow = new Map<number, number>();
    for (const { windowEndMs } of accepted) byWindow.set(windowEndMs, (byWindow.get(windowEndMs) ?? 0) + 1);
    for (const many of byWindow.values()) expect(many).toBeLessThanOrEqual(LIMIT + 1);
    for (const { retryAfterSeconds } of refused) {
      expect(retryAfterSeconds).toBeGreaterThanOrEqual(1);
      expect(retryAfterSeconds).toBeLessThanOrEqual(CALLS_WINDOW_SECONDS);
    }
    // The windows that the flood has filled have refused it, and let through what they may.
    const full = new Set(refused.map(({ windowEndMs }) => windowEndMs));
    expect(full.size).toBeGreaterThanOrEqual(2);
    for (const windowEndMs of full) expect(byWindow.get(windowEndMs)).toBeGreaterThanOrEqual(LIMIT);
    const statuses = obedient.map(({ status }) => status);
    expect(statuses).toContain(429);
    for (const [at, status] of statuses.entries()) if (statuses[at - 1] === 429) expect(status).toBe(200);
    const { jobs } = await (await callBroker(`${broker.url}/v2/limited/health`, broker.key)).json();
    expect(jobs.inQueue).toBe(accepted.length);
    const times = (some: readonly Answer[]) => some.map(({ tookMs }) => tookMs);
    const line = (name: string, some: readonly Answer[]) =>
      `${some.length} ${name} (p50 ${quantile(times(some), 0.5)}, p99 ${quantile(times(some), 0.99)} ms)`;
    console.info(
      `by window ${[...byWindow.values()].join(", ")}; ${line("taken", accepted)}; ${line("refused", refused)}`,
    );
  });

  it.each([
    ["wait for a result", "runsync?wait=300000", OPERATION_LIMITS.runsync.open],
    ["read events", "stream/JOB", OPERATION_LIMITS.status.open],
  ])("make room when they hang up: they %s", async (_, path, open) => {
    const submitted = await callBroker(`${broker.url}/v2/cut/run`, broker.key, { body: '{"input":{}}' });
    const { id } = await submitted.json();
    const url = `${broker.url}/v2/cut/${path.replace("JOB", id)}`;
    const headers = { accept: "text/event-stream" };
    const body = path.startsWith("runsync") ? '{"input":{}}' : undefined;
    const call = (signal: AbortSignal) => callBroker(url, broker.key, { body, headers, signal });
    const leaving = new AbortController();
    // The status line of a wait goes out after 250 ms, that of a stream at once.
    const held = await Promise.all(Array.from({ length: open ?? 0 }, () => call(leaving.signal)));
    expect(new Set(held.map(({ status }) => status))).toEqual(new Set([200]));
    const probe = async (): Promise<number> => {
      const trying = new AbortController();
      const { status } = await call(trying.signal);
      trying.abort();
      return status;
    };
    expect(await probe()).toBe(429);
    leaving.abort();
    // Who has gone is noticed by the next white space or comment.
    const many = async () => Promise.all(Array.from({ length: 50 }, probe));
    const waits = { timeout: 2 * STREAM_COMMENT_EVERY_MS, interval: 1_000 };
    await vi.waitFor(async () => expect(new Set(await many())).toEqual(new Set([200])), waits);
  });

  it("cost about what a call of the edge alone does where they are refused", async () => {
    const callTimed = async (path: string, body?: string): Promise<Pick<Answer, "status" | "tookMs">> => {
      const startedMs = performance.now();
      const response = await callBroker(`${broker.url}${path}`, broker.key, { body });
      await response.arrayBuffer();
      return { status: response.status, tookMs: performance.now() - startedMs };
    };
    // Of this operation all but two in a window are refused. Each kind takes turns, because the machine may be busy.
    const kinds = { refused: "/v2/limited/purge-queue", edge: "/healthz", taken: "/v2/limited/run" };
    const times: Record<string, number[]> = { refused: [], edge: [], taken: [] };
    for (let turn = 0; turn < 600; turn += 1) {
      for (const [kind, path] of Object.entries(kinds)) {
        const { status, tookMs } = await callTimed(path, kind === "edge" ? undefined : '{"input":{}}');
        if ((status === 429) === (kind === "refused")) times[kind]?.push(tookMs);
      }
    }
    const medians = Object.entries(times).map(([kind, some]) => `${kind} ${quantile(some, 0.5)} ms`);
    console.info(`medians: ${medians.join(", ")}`);
    expect(times.refused?.length).toBeGreaterThan(500);
  });
});
