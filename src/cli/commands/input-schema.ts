// The option of an endpoint's input schema, which stands in a file.
import { WrongUse } from "../wrong-use.ts";
import { readJsonFile } from "./json-file.ts";

/** `--input-schema FILE`, and for a change its opposite; the field of the request that it makes. */
export function inputSchemaOf(file: string | undefined, without = false): { readonly inputSchema?: object | null } {
  if (without && file !== undefined) throw new WrongUse("--input-schema or --without-input-schema, not both");
  if (without) return { inputSchema: null };
  return file === undefined ? {} : { inputSchema: readJsonFile("input-schema", file) };
}
