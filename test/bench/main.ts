// `npm run bench [-- sync|stream|load|sdk] [-- --requests N]`: what the broker adds to a call, and how many calls it finishes. N: calls of
// each route in a round of sync and stream. Prints tables and ends with one line of JSON; the exit code is 1 when a bound is missed or
// a part could not be measured.
import { parseArgs } from "node:util";
import { closeConnections } from "./client.ts";
import { complaintOf, type Finding } from "./findings.ts";
import { type Bench, startBench } from "./harness.ts";
import { measureLoad } from "./load.ts";
import { measureSdk } from "./sdk.ts";
import { measureStream } from "./stream.ts";
import { measureSync } from "./sync.ts";

const PARTS = { sync: measureSync, stream: measureStream, load: measureLoad, sdk: measureSdk } as const;
/** A part stops measuring after this, warm-up included. All of them together take less than five minutes. */
const PART_MAX_MS = { sync: 60_000, stream: 60_000, load: 120_000, sdk: 240_000 } as const;

const { values, positionals } = parseArgs({ options: { requests: { type: "string" } }, allowPositionals: true });
const names = chooseParts(positionals);
const requests = values.requests === undefined ? undefined : wholeNumber(values.requests);
const startedMs = performance.now();
const secondsSince = (fromMs: number) => Math.round((performance.now() - fromMs) / 100) / 10;

let bench: Bench | undefined;
process.once("SIGINT", () => {
  (bench?.stop() ?? Promise.resolve()).finally(() => process.exit(130));
});

const findings: Finding[] = [];
const seconds: Record<string, number> = {};
const complaints: string[] = [];
try {
  bench = await startBench();
  seconds.start = secondsSince(startedMs);
  console.log(
    bench.inMemory
      ? "State is in memory (/dev/shm): what a commit to a disk costs is not in these figures."
      : "State is on disk (there is no /dev/shm): a commit to it is in these figures.",
  );
  for (const name of names) await runPart(bench, name);
} catch (error) {
  complaints.push(error instanceof Error ? error.message : String(error));
}
closeConnections();
await bench?.stop();

complaints.push(...findings.map(complaintOf).filter((complaint) => complaint !== null));
for (const complaint of complaints) console.error(complaint);
const figures = Object.fromEntries(findings.map(({ key, figure }) => [key, Math.round(figure * 1_000) / 1_000]));
console.log(JSON.stringify({ name: "bench", ok: complaints.length === 0, ...figures, seconds }));
process.exitCode = complaints.length === 0 ? 0 : 1;

async function runPart(on: Bench, name: keyof typeof PARTS): Promise<void> {
  const fromMs = performance.now();
  findings.push(...(await PARTS[name](on, fromMs + PART_MAX_MS[name], requests)));
  seconds[name] = secondsSince(fromMs);
  console.log(`part ${name}: ${seconds[name]} s\n`);
}

function chooseParts(words: readonly string[]): (keyof typeof PARTS)[] {
  const all = ["sync", "stream", "load", "sdk"] as const;
  // Workers are measured only where that is asked for: it takes RunPod's Python package, and no part of the broker is in it.
  const chosen = all.filter((name) => (words.length === 0 ? name !== "sdk" : words[0] === name));
  if (words.length <= 1 && chosen.length > 0) return chosen;
  process.stderr.write("npm run bench [-- sync|stream|load|sdk] [--requests N]\n");
  process.exit(2);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  process.stderr.write("--requests must be a whole number of at least 1\n");
  process.exit(2);
}
