// The option of an endpoint's input schema, which stands in a file.
import { readFileSync } from "node:fs";
import { messageOf } from "../../core/failure.ts";
import { fieldsOf, parseJson } from "../../core/json/value.ts";
import { WrongUse } from "../wrong-use.ts";

/** `--input-schema FILE`, and for a change its opposite; the field of the request that it makes. */
export function inputSchemaOf(file: string | undefined, without = false): { readonly inputSchema?: object | null } {
  if (without && file !== undefined) throw new WrongUse("--input-schema or --without-input-schema, not both");
  if (without) return { inputSchema: null };
  if (file === undefined) return {};
  const schema = fieldsOf(parseJson(textOf(file)));
  if (schema === null) throw new WrongUse(`--input-schema: ${file} holds no JSON object`);
  return { inputSchema: schema };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new WrongUse(`--input-schema: ${file} cannot be read: ${messageOf(error)}`);
  }
}
