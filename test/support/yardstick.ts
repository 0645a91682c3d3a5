// How much slower the machine is at this moment than the one on which a bound in milliseconds was set. A neighbour on the other half of a
// core halves what a millisecond of processor time gets done, so a bound on it alone fails for what the code under test has not done.
import { cpuMsOf } from "./cpu-time.ts";

/**
 * What the work below takes, as the least of its runs in a process that has just started, on the machine of the bounds. Found by turns
 * with a check that takes 8.8 ms there, on a machine on which the two took 3.5 ms and 11.3 ms.
 */
const QUIET_MS = 2.75;
/** One of them is without a pause for memory, and the first ones are there for the engine to compile the work. */
const RUNS = 7;

/** 1 on a quiet machine, 2 on one that takes twice as long; never less than 1, so that a faster machine keeps the bound as it is. */
export function measureSlowdown(): number {
  const runs = Array.from({ length: RUNS }, () => cpuMsOf(work));
  return Math.max(1, Math.min(...runs) / QUIET_MS);
}

/** Some of all that a check does: texts are parsed and compared, maps and lists grow, characters are looked at. None of it is our code. */
function work(): void {
  const rows = Array.from({ length: 3_000 }, (_, at) => ({
    id: (at * 7_919) % 3_001,
    name: `name ${at}`,
    tags: [at, "x"],
  }));
  const read: typeof rows = JSON.parse(JSON.stringify(rows));
  const byName = new Map(read.map((row) => [row.name, row]));
  const sorted = [...byName.values()].sort((one, other) => one.id - other.id || one.name.localeCompare(other.name));
  let vowels = 0;
  for (const { name } of sorted) for (const character of name) if (/[aeiou]/.test(character)) vowels += 1;
  if (vowels !== 6_000) throw new Error("the work has changed, and with it the time that it takes");
}
