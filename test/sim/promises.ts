// What one decision of the core owes beside the status: results kept, upstreams told, pauses, backoff, and a bill that says
// what was done. Written from the promises, not from the core.

import type { Effect } from "../../src/core/job/transition.ts";
import { BACKOFF_BASE_MS, BACKOFF_MAX_MS } from "../../src/core/limits.ts";
import type { Decision } from "./decision.ts";
import { periodMs } from "./worker-promises.ts";

type Demand = (holds: boolean, invariant: string, say: () => string) => void;

const LIVE = new Set(["IN_QUEUE", "IN_PROGRESS"]);

/** Checks a decision that was carried out; `chargedMs` is the time that its attempt may be charged, null without one. */
export function checkPromises(decision: Decision, chargedMs: number | null, demand: Demand): void {
  const { before, event, context, result } = decision;
  if (result.reply !== "done") return;
  const after = result.job;
  const has = (kind: Effect["kind"]) => result.effects.some((effect) => effect.kind === kind);
  if (event.kind === "start") demand(before.notBeforeMs <= context.nowMs, "S8", () => "started before its retry time");
  if (event.kind === "renew") {
    const isFull = after.lease !== null && after.lease.untilMs === context.nowMs + periodMs(after.lease);
    demand(isFull, "F1", () => "a renewal gave no full period");
  }
  if (event.kind === "retry") {
    const cleared = result.effects.some((effect) => effect.kind === "keep_output" && effect.output === null);
    demand(cleared, "P1", () => "a retry keeps the old result");
  }
  if (event.kind === "finish") checkFinish(decision, demand);
  const stopped = before.upstreamJob !== null && LIVE.has(before.status) && !LIVE.has(after.status);
  if (stopped && event.kind !== "finish") {
    demand(has("stop_upstream"), "S9", () => `${event.kind} left the upstream running`);
  }
  if (before.status === "IN_PROGRESS" && after.status === "IN_QUEUE") checkRequeue(decision, demand);
  if (before.status === "IN_PROGRESS" && !LIVE.has(after.status)) checkEnd(decision, chargedMs, demand);
}

function checkFinish({ event, result }: Decision, demand: Demand): void {
  if (event.kind !== "finish") return;
  const { outcome } = event;
  const kept = result.effects.find((effect) => effect.kind === "keep_output");
  if (outcome.kind === "completed" || outcome.kind === "handler_error") {
    demand(kept?.output === outcome.output, "P1", () => `the output of ${outcome.kind} was not kept`);
  }
  const paused = result.effects.some((effect) => effect.kind === "pause_upstream");
  demand(paused === (outcome.kind === "upstream_paused"), "Q3", () => `${outcome.kind} paused: ${paused}`);
  const unhealthy = result.effects.some((effect) => effect.kind === "upstream_unhealthy");
  demand(unhealthy === (outcome.kind === "upstream_unhealthy"), "Q3", () => `${outcome.kind} unhealthy: ${unhealthy}`);
}

/** A counted failure waits and begins anew; what was not the worker's fault waits for nothing and keeps its run. */
function checkRequeue({ before, event, context, result }: Decision, demand: Demand): void {
  const after = result.job;
  const counted = after.countedFailures > before.countedFailures;
  const waitMs = after.notBeforeMs - context.nowMs;
  if (!counted) {
    demand(after.notBeforeMs === 0, "S8", () => `${event.kind} without a fault has to wait`);
    const kept = JSON.stringify(after.upstreamJob) === JSON.stringify(before.upstreamJob);
    demand(kept, "S8", () => `${event.kind} forgot the upstream's run`);
    return;
  }
  demand(after.upstreamJob === null, "S8", () => "a new attempt takes up the old run");
  const fits = waitMs >= BACKOFF_BASE_MS && waitMs <= BACKOFF_MAX_MS * 1.25;
  demand(fits, "S8", () => `a failure waits ${waitMs} ms`);
}

function checkEnd({ before, result }: Decision, chargedMs: number | null, demand: Demand): void {
  const { job } = result;
  demand(job.executionMs === chargedMs, "B4", () => `executionMs is ${job.executionMs}, ran ${chargedMs}`);
  demand((job.status === "FAILED") <= (job.failure !== null), "P1", () => "FAILED without a word");
  if (job.bill === null || before.lease === null || chargedMs === null) return;
  const { tier, rateKind, slots, nanodollarsPerSecond } = before.lease;
  const said = { tier, rateKind, slots, nanodollarsPerSecond, seconds: Math.ceil(chargedMs / 1_000) };
  for (const [name, value] of Object.entries(said)) {
    const billed = Object.entries(job.bill).find(([key]) => key === name)?.[1];
    demand(billed === value, "B2", () => `the bill says ${name} ${billed}, not ${value}`);
  }
}
