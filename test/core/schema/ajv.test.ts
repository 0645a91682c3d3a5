// The same verdicts as Ajv's, another validator, over inputs by chance: 1,000 that are valid and 1,000 that are not for each schema.
import { Ajv } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, it } from "vitest";
import { checkValue } from "../../../src/core/schema/check.ts";
import { compileSchema } from "../../../src/core/schema/compile.ts";
import { Samples } from "./samples.ts";
import SCHEMAS from "./schemas.json";

const EACH = 1_000;

/** Ajv divides doubles where a multiple is asked for, unless it is told how exactly. */
const OPTIONS = { strict: false, allErrors: false, multipleOfPrecision: 9, validateFormats: true } as const;

function ajvOf(schema: object): (value: unknown) => boolean {
  const isOld = JSON.stringify(schema).includes("draft-07");
  const ajv = isOld ? new Ajv(OPTIONS) : new Ajv2020(OPTIONS);
  addFormats.default(ajv);
  const validate = ajv.compile(schema);
  return (value) => validate(value) === true;
}

describe("a check", () => {
  it.each(Object.entries(SCHEMAS))("has Ajv's verdict for inputs of %s", (name, schema) => {
    const compiled = compileSchema(JSON.stringify(schema));
    if (!compiled.ok) throw new Error(`${name}: ${compiled.problem.place} ${compiled.problem.message}`);
    const ajv = ajvOf(schema);
    const samples = new Samples(schema, 14);
    const found = { valid: 0, invalid: 0 };
    for (let tries = 0; found.valid < EACH || found.invalid < EACH; tries += 1) {
      if (tries > 100 * EACH) throw new Error(`too few of a kind: ${JSON.stringify(found)}`);
      const value = samples.value(found.valid >= EACH);
      const kind = ajv(value) ? "valid" : "invalid";
      if (found[kind] >= EACH) continue;
      found[kind] += 1;
      const verdict = checkValue(compiled.root, value);
      if (verdict.kind !== kind) expect({ value, ...verdict }).toEqual({ value, kind });
      if (verdict.kind === "invalid") expect(verdict.problems.length).toBeGreaterThan(0);
    }
    expect(found).toEqual({ valid: EACH, invalid: EACH });
  });
});
