// npm run sim -- [fleet] [--seed N] [--steps S] [--seeds K]: runs K seeds of jobs, or of a fleet, from N on, S steps each; ends with one
// line of JSON.
import { parseArgs } from "node:util";
import { PROMISES } from "./fleet/promises.ts";
import { runFleetSeed } from "./fleet/run.ts";
import { runSeed } from "./run.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: "string" }, steps: { type: "string" }, seeds: { type: "string" } },
});

/** A whole number of at least `least`, or the process ends with a sentence. */
function whole(name: string, text: string | undefined, fallback: number, least: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  process.stderr.write(`--${name} must be a whole number of at least ${least}\n`);
  process.exit(2);
}

const first = whole("seed", values.seed, 1, 0);
const steps = whole("steps", values.steps, 200, 1);
const seeds = whole("seeds", values.seeds, values.seed === undefined ? 2_000 : 1, 1);

const [world = "jobs", ...rest] = positionals;
if (rest.length > 0 || (world !== "jobs" && world !== "fleet")) {
  process.stderr.write("what is simulated is `jobs` or `fleet`\n");
  process.exit(2);
}
const startedMs = performance.now();
const seen: Record<string, number> = {};
const broken: Record<string, number> =
  world === "jobs" ? { violations: 0 } : Object.fromEntries(PROMISES.map((name) => [name, 0]));
for (let seed = first; seed < first + seeds; seed += 1) {
  const run = world === "jobs" ? runJobs(seed) : runFleetSeed(seed, steps);
  for (const [corner, times] of run.seen) seen[corner] = (seen[corner] ?? 0) + times;
  for (const [name, times] of Object.entries(run.broken)) broken[name] = (broken[name] ?? 0) + times;
  if (run.notes.length === 0) continue;
  for (const note of run.notes) process.stderr.write(`seed ${seed}, ${note}\n`);
  process.stderr.write(`replay: npm run sim -- ${world} --seed ${seed} --steps ${steps}\n`);
}
const seconds = Math.round(performance.now() - startedMs) / 1_000;
process.stdout.write(`${JSON.stringify({ seeds, steps, ...broken, seconds, seen })}\n`);
process.exitCode = Object.values(broken).every((times) => times === 0) ? 0 : 1;

function runJobs(seed: number) {
  const { violation, seen: corners } = runSeed(seed, steps);
  const notes = violation === null ? [] : [`step ${violation.step}: ${violation.message}`];
  return { broken: { violations: notes.length }, notes, seen: corners };
}
