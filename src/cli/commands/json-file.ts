// The value of an option that stands in a file, as JSON.
import { readFileSync } from "node:fs";
import { messageOf } from "../../core/failure.ts";
import { type Fields, fieldsOf, parseJson } from "../../core/json/value.ts";
import { WrongUse } from "../wrong-use.ts";

/** The object in the file that an option names. */
export function readJsonFile(option: string, file: string): Fields {
  const value = fieldsOf(parseJson(textOf(option, file)));
  if (value === null) throw new WrongUse(`--${option}: ${file} holds no JSON object`);
  return value;
}

function textOf(option: string, file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new WrongUse(`--${option}: ${file} cannot be read: ${messageOf(error)}`);
  }
}
