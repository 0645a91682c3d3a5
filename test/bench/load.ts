// The part `load`: how many calls of /runsync a second are finished for many callers at once, by the floor's, and what processor time
// one of them costs; beside it a job queue on Redis. The routes take turns, round by round, so that what slows the machine slows all.
import { setTimeout as sleep } from "node:timers/promises";
import { percentile } from "../support/figures.ts";
import { type BullMq, startBullMq } from "./bullmq.ts";
import { type CallersOrder, type CallLoops, startCallLoops } from "./call-loops.ts";
import { type Finding, medianOf, roundsLine } from "./findings.ts";
import type { Bench } from "./harness.ts";
import { childrenOf, cpuSecondsOf, readProcesses } from "./processes.ts";
import { grid } from "./table.ts";

const LOAD_RATIO_MIN = 0.45;
const CPU_RATIO_MAX = 1.2;

const CALLERS = 64;
const ROUNDS = 5;
const ROUND_MS = 4_000;
/** Opens the connections, and lets the endpoint learn how short its jobs are and V8 which code is hot. */
const WARM_UP_MS = 2_500;
/** The broker posts usage lines a second after their jobs: that work is to be in its own round, not in the next one. */
const REST_MS = 1_500;

/** A way to the upstream, and the processes whose time it costs. */
interface Route extends Pick<CallersOrder, "url" | "headers" | "proof"> {
  readonly name: string;
  readonly pids: readonly number[];
}

interface RoundFigures {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Processor time of the route's processes; NaN where the machine does not show it. */
  readonly cpuMsPerCall: number;
  readonly callersCores: number;
  readonly upstreamCores: number;
}

export async function measureLoad(bench: Bench, endMs: number): Promise<Finding[]> {
  const bullMq = await startBullMq(`${bench.upstreamUrl}/load`);
  const loops = await startCallLoops();
  try {
    return await measure(bench, loops, "missing" in bullMq ? null : bullMq, endMs);
  } finally {
    await loops.stop();
    if ("missing" in bullMq) console.log(bullMq.missing);
    else await bullMq.stop();
  }
}

async function measure(bench: Bench, loops: CallLoops, bullMq: BullMq | null, endMs: number): Promise<Finding[]> {
  const { waybill, floor, direct } = routesOf(bench);
  const bull = bullMq === null ? [] : [{ ...bullMq, headers: {}, proof: "COMPLETED" }];
  const routes: readonly Route[] = [waybill, floor, ...bull];
  // One call alone first: it sets up the endpoint.
  await loops.run({ ...orderOf(waybill, 1), callers: 1 });
  for (const route of [...routes, direct]) await loops.run(orderOf(route, WARM_UP_MS));
  const alone = await runRound(direct, loops, bench.upstreamPid);
  const rounds = new Map(routes.map((route) => [route, [] as RoundFigures[]]));
  const roundsMs = routes.length * (ROUND_MS + REST_MS);
  for (let round = 0; round < ROUNDS && (round === 0 || performance.now() + roundsMs < endMs); round += 1) {
    for (const [route, figures] of rounds) figures.push(await runRound(route, loops, bench.upstreamPid));
  }
  show([...rounds, [direct, [alone]]]);
  const of = (route: Route | undefined) => (route === undefined ? [] : (rounds.get(route) ?? []));
  return findingsOf(of(waybill), of(floor), of(bull[0]));
}

function findingsOf(
  ours: readonly RoundFigures[],
  floors: readonly RoundFigures[],
  bulls: readonly RoundFigures[],
): Finding[] {
  const load = ratiosOf(ours, floors, ({ perSecond }) => perSecond);
  console.log(roundsLine("load_ratio", load));
  const found: Finding[] = [{ key: "load_ratio", figure: medianOf(load), atLeast: LOAD_RATIO_MIN }];
  const cpu = ratiosOf(ours, bulls, ({ cpuMsPerCall }) => cpuMsPerCall).filter(Number.isFinite);
  if (cpu.length === 0) return found;
  console.log(roundsLine("cpu_ratio", cpu));
  return [...found, { key: "cpu_ratio", figure: medianOf(cpu), atMost: CPU_RATIO_MAX }];
}

/** Ours ÷ the other's, round by round. */
function ratiosOf<T>(ours: readonly T[], others: readonly T[], figureOf: (round: T) => number): number[] {
  return others.flatMap((other, at) => {
    const own = ours[at];
    return own === undefined ? [] : [figureOf(own) / figureOf(other)];
  });
}

async function runRound(route: Route, loops: CallLoops, upstreamPid: number): Promise<RoundFigures> {
  const before = readProcesses();
  const done = await loops.run(orderOf(route, ROUND_MS));
  await sleep(REST_MS);
  const after = readProcesses();
  const spent = (pids: readonly number[]): number =>
    before === null || after === null ? Number.NaN : cpuSecondsOf(pids, after) - cpuSecondsOf(pids, before);
  return {
    perSecond: done.calls / (ROUND_MS / 1_000),
    p50Ms: done.p50Ms,
    p99Ms: done.p99Ms,
    cpuMsPerCall: (spent(route.pids) * 1_000) / done.allCalls,
    callersCores: done.cores,
    upstreamCores: spent([upstreamPid]) / (ROUND_MS / 1_000),
  };
}

function show(measured: readonly (readonly [Route, readonly RoundFigures[]])[]): void {
  const rows = measured.map(([{ name }, rounds]) => {
    const median = (figureOf: (round: RoundFigures) => number) => medianOf(rounds.map(figureOf));
    const cpuMs = median(({ cpuMsPerCall }) => cpuMsPerCall);
    const times = [median(({ p50Ms }) => p50Ms), median(({ p99Ms }) => p99Ms)].map((ms) => ms.toFixed(1));
    const cpu = Number.isFinite(cpuMs) && cpuMs > 0 ? cpuMs.toFixed(2) : "-";
    return { name, cells: [median(({ perSecond }) => perSecond).toFixed(0), ...times, cpu] };
  });
  const heads = ["calls/s", "p50 ms", "p99 ms", "CPU ms a call"];
  console.log(grid(`${CALLERS} callers at once, median of the rounds`, heads, rows));
  const all = measured.flatMap(([, rounds]) => rounds);
  const most = (figures: readonly number[]) => percentile(figures, 1).toFixed(2);
  const callers = most(all.map(({ callersCores }) => callersCores));
  const upstream = most(all.map(({ upstreamCores }) => upstreamCores));
  console.log(`  in any round the callers took at most ${callers} of a core, the upstream ${upstream}`);
}

function orderOf({ url, headers, proof }: Route, forMs: number): CallersOrder {
  return { url, headers, proof, body: BODY, callers: CALLERS, forMs };
}

/** The request of an unmodified client, as in the part `sync`. */
const BODY = JSON.stringify({ input: { prompt: "a picture of a waybill", steps: 20 } });

function routesOf({ brokerUrl, floorUrl, upstreamUrl, key }: Bench) {
  const processes = readProcesses();
  // Both Workers run in one process: a route costs what that process takes while the route alone is called.
  const pids = processes === null ? [] : childrenOf(process.pid, "workerd", processes);
  const headers = { Authorization: `Bearer ${key}` };
  return {
    waybill: { name: "waybill /runsync", url: `${brokerUrl}/v2/load/runsync`, headers, proof: "COMPLETED", pids },
    floor: { name: "floor", url: `${floorUrl}/load`, headers: {}, proof: "done", pids },
    direct: { name: "upstream called directly", url: `${upstreamUrl}/load`, headers: {}, proof: "done", pids: [] },
  };
}
