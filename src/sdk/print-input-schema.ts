// What a worker prints for `--waybill_input_schema`, by which the command line gives its schema to an endpoint. Nothing of the worker runs
// but its file: neither its prestart hook nor its checks of the machine, as it is asked on a machine that has no GPU.
import { messageOf } from "../core/failure.ts";
import type { Fields } from "../core/json/value.ts";
import type { WorkerConfig } from "./handler.ts";
import { inputSchemaOf, makeInputCheck } from "./input-check.ts";

/**
 * `{"inputSchema": …}` in one line: a JSON Schema, or null where the worker has none. Where its schema has no JSON Schema it is null, too, and
 * `problem` is why. Throws where the schema itself is wrong.
 */
export function inputSchemaLine(input: WorkerConfig["input"]): string {
  makeInputCheck(input);
  return JSON.stringify(tell(input));
}

function tell(input: WorkerConfig["input"]): { readonly inputSchema: Fields | null; readonly problem?: string } {
  try {
    const inputSchema = inputSchemaOf(input);
    if (inputSchema !== null || input === undefined) return { inputSchema };
    return { inputSchema, problem: "the library of the schema gives no JSON Schema" };
  } catch (error) {
    return { inputSchema: null, problem: messageOf(error) };
  }
}
