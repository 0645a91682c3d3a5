// The part `sync`: what a warm /runsync adds to the upstream's own time, over what the floor adds. One call at a time, ours and
// the floor's in turns, so that whatever slows the machine slows both.
import { percentile } from "../support/figures.ts";
import { type Target, timeCall } from "./client.ts";
import type { Bench } from "./harness.ts";
import { type Finding, measureInTurns, warmUp } from "./part.ts";
import { table } from "./table.ts";

const RATIO_MAX = 1.6;

export async function measureSync(bench: Bench, requests: number, endMs: number): Promise<Finding[]> {
  const routes = routesOf(bench);
  await warmUp([routes.waybill, routes.floor, routes.direct], timeCall);
  const measured = await measureInTurns(routes, timeCall, requests, endMs);
  const rows = [
    { name: "waybill /runsync", figuresMs: measured.waybill },
    { name: "floor", figuresMs: measured.floor },
    { name: "upstream called directly", figuresMs: measured.direct },
  ];
  console.log(table("time added to the upstream's own", rows));
  const ratio = percentile(measured.waybill, 0.5) / percentile(measured.floor, 0.5);
  return [{ key: "sync_overhead_ratio", figure: ratio, max: RATIO_MAX }];
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
