// npm run sim -- [--seed N] [--steps S] [--seeds K]: runs K seeds from N on, S steps each; ends with one line of JSON.
import { parseArgs } from "node:util";
import { runSeed } from "./run.ts";

const { values } = parseArgs({
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

const startedMs = performance.now();
const seen: Record<string, number> = {};
let violations = 0;
for (let seed = first; seed < first + seeds; seed += 1) {
  const run = runSeed(seed, steps);
  for (const [corner, times] of run.seen) seen[corner] = (seen[corner] ?? 0) + times;
  if (run.violation === null) continue;
  violations += 1;
  process.stderr.write(`seed ${seed}, step ${run.violation.step}: ${run.violation.message}\n`);
  process.stderr.write(`replay: npm run sim -- --seed ${seed} --steps ${steps}\n`);
}
const seconds = Math.round(performance.now() - startedMs) / 1_000;
process.stdout.write(`${JSON.stringify({ seeds, steps, violations, seconds, seen })}\n`);
process.exitCode = violations === 0 ? 0 : 1;
