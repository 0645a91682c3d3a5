// The worker's schema as a deployed endpoint has it, which refuses a wrong input before it is a job (`inputSchema` of the endpoint).
import { type Failure, messageOf } from "../../core/failure.ts";
import { checkBytes } from "../../core/schema/check.ts";
import { compileSchema } from "../../core/schema/compile.ts";
import { CHECKED_INPUT_MAX_BYTES } from "../../core/schema/limits.ts";
import type { WorkerConfig } from "../handler.ts";
import { inputSchemaOf } from "../input-check.ts";
import type { Log } from "../log.ts";

/** Judges the JSON text of an input; null: it is let in. */
export type SchemaCheck = (input: string) => Failure | null;

const ANY: SchemaCheck = () => null;
const TOO_MUCH = "has so many values, or so long texts, that its check by the endpoint's schema would take too long";

/** Where the schema has no JSON Schema, or one that no endpoint takes, inputs are checked when their jobs run, as everywhere. */
export function makeSchemaCheck({ input }: Pick<WorkerConfig, "input">, log: Log): SchemaCheck {
  const text = jsonSchemaOf(input, log);
  if (text === null) return ANY;
  const schema = compileSchema(text);
  if (!schema.ok) {
    log.warn("the input schema cannot be an endpoint's: inputs are checked when their jobs run", { ...schema.problem });
    return ANY;
  }
  return (raw) => {
    const bytes = Buffer.from(raw);
    if (bytes.length > CHECKED_INPUT_MAX_BYTES) {
      return { kind: "too_large", maxBytes: CHECKED_INPUT_MAX_BYTES, part: "input" };
    }
    const verdict = checkBytes(schema, bytes);
    if (verdict.kind === "invalid") return { kind: "input_refused", problems: verdict.problems };
    return verdict.kind === "valid" ? null : { kind: "invalid", field: "input", message: TOO_MUCH };
  };
}

function jsonSchemaOf(input: WorkerConfig["input"], log: Log): string | null {
  try {
    const schema = inputSchemaOf(input);
    return schema === null ? null : JSON.stringify(schema);
  } catch (error) {
    log.warn("the input schema has no JSON Schema: inputs are checked when their jobs run", {
      reason: messageOf(error),
    });
    return null;
  }
}
