// Hostile schemas are refused when they are saved, or their checks end in time, whatever the input.
import { beforeAll, describe, expect, it } from "vitest";
import { checkBytes } from "../../../src/core/schema/check.ts";
import { compileSchema } from "../../../src/core/schema/compile.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";
import { HOSTILE } from "./hostile-schemas.ts";
import SCHEMAS from "./schemas.json";

const MAX_MS = 10;

const TIMES = 5;
const ENCODER = new TextEncoder();

/** What became of a schema: why it was refused, or how the check of an input ended. */
function attack(schema: string, input: Uint8Array): string {
  const compiled = compileSchema(schema);
  if (!compiled.ok) return `refused: ${compiled.problem.place} ${compiled.problem.message}`;
  return checkBytes(compiled, input).kind;
}

describe("a hostile schema", () => {
  // The engine compiles what runs often: a server does so in its first second.
  beforeAll(() => {
    for (const schema of Object.values(SCHEMAS)) attack(JSON.stringify(schema), ENCODER.encode("{}"));
    for (const [, schema, input] of HOSTILE) attack(JSON.stringify(schema), ENCODER.encode(JSON.stringify(input)));
  });

  it("is one of over two hundred", () => {
    expect(HOSTILE.length).toBeGreaterThan(200);
  });

  it.each(HOSTILE)("is refused or bounded: %s", (_name, schema, input) => {
    const text = JSON.stringify(schema);
    const sent = ENCODER.encode(JSON.stringify(input));
    let found = "";
    // The clock of a thread goes in steps of up to 4 ms, so that one run alone would say nothing.
    const run = (): void => {
      for (let times = 0; times < TIMES; times += 1) found = attack(text, sent);
    };
    const ms = Math.min(cpuMsOf(run), cpuMsOf(run), cpuMsOf(run)) / TIMES;
    expect(ms).toBeLessThan(MAX_MS);
    if (input === null) expect(found).toMatch(/^refused: #/);
  });
});
