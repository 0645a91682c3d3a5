// The part `sync`: what a warm /runsync adds to the upstream's own time, over what the floor adds. One call at a time, ours and
// the floor's in turns, so that whatever slows the machine slows both; the ratio is the median of five rounds.
import { type Target, timeCall } from "./client.ts";
import { type Finding, medianOf, roundsLine } from "./findings.ts";
import type { Bench } from "./harness.ts";
import { measureInRounds, ratiosOf, together, warmUp } from "./part.ts";
import { table } from "./table.ts";

/** A guard against getting slower (README.md): what is above the floor are promises. */
const RATIO_MAX = 2;
/** Of each route in each of five rounds: what takes 40 s. */
const CALLS_PER_ROUND = 80;

export async function measureSync(bench: Bench, endMs: number, callsPerRound = CALLS_PER_ROUND): Promise<Finding[]> {
  const routes = routesOf(bench);
  await warmUp([routes.waybill, routes.floor, routes.direct], timeCall);
  const rounds = await measureInRounds(routes, timeCall, callsPerRound, endMs);
  const measured = together(rounds);
  const rows = [
    { name: "waybill /runsync", figuresMs: measured.waybill },
    { name: "floor", figuresMs: measured.floor },
    { name: "upstream called directly", figuresMs: measured.direct },
  ];
  console.log(table("time added to the upstream's own", rows));
  const key = "sync_overhead_ratio";
  const ratios = ratiosOf(rounds, (addedMs) => addedMs);
  console.log(roundsLine(key, ratios));
  return [{ key, figure: medianOf(ratios), atMost: RATIO_MAX }];
}

/** The request of an unmodified client. Once the endpoint knows how short its jobs are, the client's own request carries them. */
function routesOf({ brokerUrl, floorUrl, upstreamUrl, key }: Bench) {
  const body = JSON.stringify({ input: { prompt: "a picture of a waybill", steps: 20 } });
  const bare = (url: string): Target => ({ url: `${url}/work`, headers: {}, body });
  const headers = { Authorization: `Bearer ${key}` };
  return {
    waybill: { url: `${brokerUrl}/v2/sync/runsync`, headers, body },
    floor: bare(floorUrl),
    direct: bare(upstreamUrl),
  };
}
