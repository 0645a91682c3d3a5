// Reads the keywords of one subschema that hold no other schema, and refuses values that the standard does not allow for them.
import { fieldsOf } from "../json/value.ts";
import { formatOf } from "./formats.ts";
import {
  canonical,
  isList,
  type Json,
  keyOfPlain,
  type NumberRules,
  type StringRules,
  type TypeName,
  type Values,
} from "./nodes.ts";
import { atName, type Path, pointerOf } from "./path.ts";
import type { Machine } from "./pattern-parser.ts";

/** A schema, or a part of one, is not taken. */
export class SchemaRefused extends Error {
  /** A JSON pointer into the schema, with a `#` before it. */
  readonly place: string;

  constructor(place: Path, message: string) {
    super(message);
    this.place = pointerOf(place);
  }
}

export type Fields = Readonly<Record<string, Json>>;

/** The place of a member. */
export function below(place: Path, ...names: readonly (string | number)[]): Path {
  return names.reduce(atName, place);
}

/** The members of an object; null for every other value. */
export function membersOf(value: Json | undefined): Fields | null {
  // What JSON.parse makes has members of JSON alone.
  return fieldsOf(value) as Fields | null;
}

/** The value of a keyword; `__proto__` and its like are no keywords, so that the member is the schema's own. */
export function own(fields: Fields, name: string): Json | undefined {
  return Object.hasOwn(fields, name) ? fields[name] : undefined;
}

const TYPES: readonly TypeName[] = ["null", "boolean", "object", "array", "number", "string", "integer"];

export function readTypes(fields: Fields, place: Path): readonly TypeName[] | null {
  const value = own(fields, "type");
  if (value === undefined) return null;
  const names = isList(value) ? value : [value];
  return names.map((name) => {
    const type = TYPES.find((one) => one === name);
    if (type === undefined) throw new SchemaRefused(below(place, "type"), `must be of ${TYPES.join(", ")}`);
    return type;
  });
}

const free = (): void => undefined;

/** The values that `const` and `enum` allow. */
export function readValues(fields: Fields, place: Path): Values | null {
  const only = own(fields, "const");
  const list = own(fields, "enum");
  if (list !== undefined && !isList(list)) throw new SchemaRefused(below(place, "enum"), "must be a list of values");
  if (only === undefined && list === undefined) return null;
  const allowed =
    only === undefined ? (list ?? []) : [only].filter((value) => list === undefined || holds(list, value));
  const plain = new Set<Json>();
  let composed: Set<string> | null = null;
  for (const value of allowed) {
    if (typeof value !== "object" || value === null) plain.add(keyOfPlain(value));
    else {
      composed ??= new Set();
      composed.add(canonical(value, free));
    }
  }
  return { allowed, plain, composed };
}

function holds(list: readonly Json[], value: Json): boolean {
  const text = canonical(value, free);
  return list.some((each) => canonical(each, free) === text);
}

export function readNumbers(fields: Fields, place: Path): NumberRules {
  const multipleOf = readNumber(fields, place, "multipleOf");
  if (multipleOf !== null && multipleOf <= 0)
    throw new SchemaRefused(below(place, "multipleOf"), "must be more than 0");
  return {
    minimum: readNumber(fields, place, "minimum"),
    maximum: readNumber(fields, place, "maximum"),
    exclusiveMinimum: readNumber(fields, place, "exclusiveMinimum"),
    exclusiveMaximum: readNumber(fields, place, "exclusiveMaximum"),
    multipleOf,
  };
}

export function readStrings(
  fields: Fields,
  place: Path,
  readPattern: (source: string, place: Path) => Machine,
): StringRules {
  const pattern = readText(fields, place, "pattern");
  const name = readText(fields, place, "format");
  const has = name === null ? undefined : formatOf(name);
  return {
    minLength: readCount(fields, place, "minLength") ?? 0,
    maxLength: readCount(fields, place, "maxLength") ?? Infinity,
    pattern: pattern === null ? null : readPattern(pattern, atName(place, "pattern")),
    format: name === null || has === undefined ? null : { name, has },
  };
}

function readNumber(fields: Fields, place: Path, name: string): number | null {
  const value = own(fields, name);
  if (value === undefined) return null;
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new SchemaRefused(below(place, name), "must be a number");
  return value;
}

export function readCount(fields: Fields, place: Path, name: string): number | null {
  const value = readNumber(fields, place, name);
  if (value === null || (Number.isInteger(value) && value >= 0)) return value;
  throw new SchemaRefused(below(place, name), "must be a whole number from 0 on");
}

export function readText(fields: Fields, place: Path, name: string): string | null {
  const value = own(fields, name);
  if (value === undefined) return null;
  if (typeof value !== "string") throw new SchemaRefused(below(place, name), "must be a text");
  return value;
}

export function readNames(value: Json, place: Path): readonly string[] {
  if (isList(value) && value.every((name) => typeof name === "string")) return value;
  throw new SchemaRefused(place, "must be a list of names");
}
