// The part `stream`: what a streamed chat through the broker adds to the first chunk and to each later one, and how evenly 200
// streams at once are served.
import { percentile } from "../support/figures.ts";
import { type StreamTimes, type Target, timeStream } from "./client.ts";
import { modelOf, type StreamShape } from "./clock.ts";
import { type Finding, medianOf, roundsLine } from "./findings.ts";
import type { Bench } from "./harness.ts";
import { measureInRounds, type Round, type Routes, ratiosOf, together, warmUp } from "./part.ts";
import { table } from "./table.ts";

/** A guard against getting slower (README.md): what is above the floor are promises. */
const FIRST_TOKEN_RATIO_MAX = 1.75;
const CHUNK_OVERHEAD_MAX_MS = 1;
const FAIRNESS_MAX = 2;

/** As a small model answers: the first chunk soon, the others apart enough that each is a packet of its own. */
const MEASURED: StreamShape = { firstMs: 20, chunkCount: 12, paceMs: 5 };
/** Short, because the warm-up is about paths, not about pace. */
const WARMING: StreamShape = { firstMs: 5, chunkCount: 2, paceMs: 1 };
/** Long enough that a stream which gets less than its share falls behind; slow enough that the client keeps up with all. */
const TOGETHER: StreamShape = { firstMs: 50, chunkCount: 20, paceMs: 50 };
const STREAMS_AT_ONCE = 200;
/** Of each route in each of five rounds: what takes 30 s. */
const CALLS_PER_ROUND = 20;
const TOGETHER_ROUNDS = 5;
/** What the streams at once take, these rounds of each route and the first one, with room for a slow machine. */
const TOGETHER_MAX_MS = 25_000;

export async function measureStream(bench: Bench, endMs: number, callsPerRound = CALLS_PER_ROUND): Promise<Finding[]> {
  const routes = (shape: StreamShape) => routesOf(bench, shape);
  const { waybill, floor, direct } = routes(WARMING);
  await warmUp([waybill, floor, direct], (target) => timeStream(target, WARMING.chunkCount));
  const call = (target: Target) => timeStream(target, MEASURED.chunkCount);
  const rounds = await measureInRounds(routes(MEASURED), call, callsPerRound, endMs - TOGETHER_MAX_MS);
  const measured = together(rounds);
  const first = ({ firstAddedMs }: StreamTimes) => firstAddedMs;
  const transits = (times: readonly StreamTimes[]) => times.flatMap(({ transitsMs }) => transitsMs);
  const key = "first_token_ratio";
  const ratios = ratiosOf(rounds, first);
  console.log(
    table(
      "time added to the first chunk",
      rowsOf(measured, (times) => times.map(first)),
    ),
  );
  console.log(roundsLine(key, ratios));
  console.log(table("from the sending of a later chunk to its arrival", rowsOf(measured, transits)));
  const p50 = (figures: readonly number[]) => percentile(figures, 0.5);
  const chunkMs = p50(transits(measured.waybill)) - p50(transits(measured.direct));
  return [
    { key, figure: medianOf(ratios), atMost: FIRST_TOKEN_RATIO_MAX },
    { key: "chunk_overhead_ms", figure: chunkMs, atMost: CHUNK_OVERHEAD_MAX_MS },
    { key: "stream_fairness", figure: await measureFairness(routes(TOGETHER)), atMost: FAIRNESS_MAX },
  ];
}

/** Slowest ÷ median of streams that run together, the median of the rounds. The floor's show what the machine itself does. */
async function measureFairness({ waybill, floor }: Routes): Promise<number> {
  // Not counted: opens the connections.
  await runTogether(waybill);
  await runTogether(floor);
  const ours: number[][] = [];
  const floors: number[][] = [];
  for (let round = 0; round < TOGETHER_ROUNDS; round += 1) {
    ours.push(await runTogether(waybill));
    floors.push(await runTogether(floor));
  }
  const rows = [
    { name: "waybill", figuresMs: ours.flat() },
    { name: "floor", figuresMs: floors.flat() },
  ];
  console.log(table(`${STREAMS_AT_ONCE} streams at once, from call to end`, rows));
  console.log(roundsLine("slowest ÷ median, the floor's,", floors.map(spreadOf)));
  console.log(roundsLine("stream_fairness", ours.map(spreadOf)));
  return medianOf(ours.map(spreadOf));
}

function spreadOf(totalsMs: readonly number[]): number {
  return Math.max(...totalsMs) / percentile(totalsMs, 0.5);
}

async function runTogether(target: Target): Promise<number[]> {
  const streams = Array.from({ length: STREAMS_AT_ONCE }, () => timeStream(target, TOGETHER.chunkCount));
  return (await Promise.all(streams)).map(({ totalMs }) => totalMs);
}

function rowsOf(measured: Round<StreamTimes>, figuresOf: (times: readonly StreamTimes[]) => readonly number[]) {
  return [
    { name: "waybill", figuresMs: figuresOf(measured.waybill) },
    { name: "floor", figuresMs: figuresOf(measured.floor) },
    { name: "upstream called directly", figuresMs: figuresOf(measured.direct) },
  ];
}

function routesOf({ brokerUrl, floorUrl, upstreamUrl, key }: Bench, shape: StreamShape): Routes {
  const messages = [{ role: "user", content: "What is a waybill?" }];
  const body = JSON.stringify({ model: modelOf(shape), messages, stream: true });
  const path = "/v1/chat/completions";
  const headers = { Authorization: `Bearer ${key}` };
  return {
    waybill: { url: `${brokerUrl}/v2/chat/openai${path}`, headers, body },
    floor: { url: `${floorUrl}/stream${path}`, headers: {}, body },
    direct: { url: `${upstreamUrl}${path}`, headers: {}, body },
  };
}
