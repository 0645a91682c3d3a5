// A process that reads one schema and checks one input by it, as the first that it does, and tells what became of it and the time of
// the processor that it took: that of its own thread, and with it that of the threads on which the engine compiles and collects. Last
// comes how much slower the machine was at that moment than the one of the bound.
import { readFileSync } from "node:fs";
import { checkBytes } from "../../src/core/schema/check.ts";
import { compileSchema } from "../../src/core/schema/compile.ts";
import { usedMs } from "../support/cpu-time.ts";
import { measureSlowdown } from "../support/yardstick.ts";

const [schema, input]: [string, string] = JSON.parse(readFileSync(0, "utf8"));
const bytes = new TextEncoder().encode(input);
const allBefore = process.cpuUsage();
const before = usedMs();
const compiled = compileSchema(schema);
const compiledAt = usedMs();
const found = compiled.ok ? checkBytes(compiled, bytes).kind : "refused";
const checkedAt = usedMs();
const { user, system } = process.cpuUsage(allBefore);
const figures = { compileMs: compiledAt - before, checkMs: checkedAt - compiledAt, allMs: (user + system) / 1_000 };
console.log(JSON.stringify({ found, ...figures, slowdown: measureSlowdown() }));
