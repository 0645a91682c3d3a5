// The part `stream`: what a streamed chat through the broker adds to the first chunk and to each later one, and how evenly 200
// streams at once are served.
import { percentile } from "../support/figures.ts";
import { type StreamTimes, type Target, timeStream } from "./client.ts";
import { modelOf, type StreamShape } from "./clock.ts";
import type { Bench } from "./harness.ts";
import { type Finding, measureInTurns, type Routes, warmUp } from "./part.ts";
import { table } from "./table.ts";

const FIRST_TOKEN_RATIO_MAX = 1.6;
const CHUNK_OVERHEAD_MAX_MS = 1;
const FAIRNESS_MAX = 2;

/** As a small model answers: the first chunk soon, the others apart enough that each is a packet of its own. */
const MEASURED: StreamShape = { firstMs: 20, chunkCount: 12, paceMs: 5 };
/** Short, because the warm-up is about paths, not about pace. */
const WARMING: StreamShape = { firstMs: 5, chunkCount: 2, paceMs: 1 };
/** Long enough that a stream which gets less than its share falls behind; slow enough that the client keeps up with all. */
const TOGETHER: StreamShape = { firstMs: 50, chunkCount: 20, paceMs: 50 };
const STREAMS_AT_ONCE = 200;
/** What the streams at once take, two rounds of each route, with room for a slow machine. */
const TOGETHER_MAX_MS = 12_000;

export async function measureStream(bench: Bench, requests: number, endMs: number): Promise<Finding[]> {
  const routes = (shape: StreamShape) => routesOf(bench, shape);
  const { waybill, floor, direct } = routes(WARMING);
  await warmUp([waybill, floor, direct], (target) => timeStream(target, WARMING.chunkCount));
  const call = (target: Target) => timeStream(target, MEASURED.chunkCount);
  const measured = await measureInTurns(routes(MEASURED), call, requests, endMs - TOGETHER_MAX_MS);
  const first = (times: readonly StreamTimes[]) => times.map(({ firstAddedMs }) => firstAddedMs);
  const transits = (times: readonly StreamTimes[]) => times.flatMap(({ transitsMs }) => transitsMs);
  console.log(table("time added to the first chunk", rowsOf(measured, first)));
  console.log(table("from the sending of a later chunk to its arrival", rowsOf(measured, transits)));
  const p50 = (figures: readonly number[]) => percentile(figures, 0.5);
  const firstRatio = p50(first(measured.waybill)) / p50(first(measured.floor));
  const chunkMs = p50(transits(measured.waybill)) - p50(transits(measured.direct));
  return [
    { key: "first_token_ratio", figure: firstRatio, max: FIRST_TOKEN_RATIO_MAX },
    { key: "chunk_overhead_ms", figure: chunkMs, max: CHUNK_OVERHEAD_MAX_MS },
    { key: "stream_fairness", figure: await measureFairness(routes(TOGETHER)), max: FAIRNESS_MAX },
  ];
}

/** Slowest ÷ median of streams that run together. The floor's show what the machine itself does to them. */
async function measureFairness({ waybill, floor }: Routes): Promise<number> {
  // A first round, not counted, opens the connections.
  await runTogether(waybill);
  const ours = await runTogether(waybill);
  await runTogether(floor);
  const floors = await runTogether(floor);
  const spread = (totalsMs: readonly number[]) => Math.max(...totalsMs) / percentile(totalsMs, 0.5);
  const rows = [
    { name: "waybill", figuresMs: ours },
    { name: "floor", figuresMs: floors },
  ];
  console.log(table(`${STREAMS_AT_ONCE} streams at once, from call to end`, rows));
  console.log(`  slowest ÷ median: waybill ${spread(ours).toFixed(2)}, floor ${spread(floors).toFixed(2)}`);
  return spread(ours);
}

async function runTogether(target: Target): Promise<number[]> {
  const streams = Array.from({ length: STREAMS_AT_ONCE }, () => timeStream(target, TOGETHER.chunkCount));
  return (await Promise.all(streams)).map(({ totalMs }) => totalMs);
}

function rowsOf(
  measured: Record<keyof Routes, StreamTimes[]>,
  figuresOf: (times: readonly StreamTimes[]) => readonly number[],
) {
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
