// Checks the input of a job by its endpoint's schema, at the edge: a wrong one costs no call of the broker and nothing in R2.
import { fail, ok, type Result } from "../../core/failure.ts";
import { checkBytes } from "../../core/schema/check.ts";
import { type Compiled, compileSchema } from "../../core/schema/compile.ts";
import { COMPILED_SCHEMAS_MAX } from "../../core/schema/limits.ts";
import { log } from "../../log.ts";

/** By their texts; the one that was used last comes last. */
const compiled = new Map<string, Compiled>();

/** `bytes`: valid JSON, because the scanner has accepted it. */
export function checkJobInput(schemaText: string, bytes: Uint8Array): Result<null> {
  const schema = compiledOf(schemaText);
  if (!schema.ok) {
    // It was judged when it was saved, by an earlier release.
    log("input_schema_unreadable", { ...schema.problem });
    return fail({ kind: "unavailable", message: "the endpoint's input schema must be set anew, or removed" });
  }
  const verdict = checkBytes(schema, bytes);
  switch (verdict.kind) {
    case "valid":
      return ok(null);
    case "invalid":
      return fail({ kind: "input_refused", problems: verdict.problems });
    case "too_much":
      return fail({ kind: "invalid", field: "input", message: TOO_MUCH });
  }
}

const TOO_MUCH = "has so many values, or so long texts, that its check by the endpoint's schema would take too long";

function compiledOf(text: string): Compiled {
  const schema = compiled.get(text) ?? compileSchema(text);
  compiled.delete(text);
  compiled.set(text, schema);
  const [oldest] = compiled.keys();
  if (compiled.size > COMPILED_SCHEMAS_MAX && oldest !== undefined) compiled.delete(oldest);
  return schema;
}
