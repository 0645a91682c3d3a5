// Reads the keywords of one subschema that hold no other schema, and refuses values that the standard does not allow for them.
import { fieldsOf } from "../json/value.ts";
import { formatOf } from "./formats.ts";
import { SHOWN_MAX_CHARS } from "./limits.ts";
import {
  canonical,
  isList,
  type Json,
  type NumberRules,
  type StringRules,
  type TypeName,
  type Values,
} from "./nodes.ts";
import type { Machine } from "./pattern-parser.ts";

/** A schema, or a part of one, is not taken. */
export class SchemaRefused extends Error {
  /** A JSON pointer into the schema, with a `#` before it. */
  readonly place: string;

  constructor(place: string, message: string) {
    super(message);
    this.place = place;
  }
}

export type Fields = Readonly<Record<string, Json>>;

/** The place of a member. */
export function below(place: string, ...names: readonly (string | number)[]): string {
  return [place, ...names.map((name) => escaped(String(name)))].join("/");
}

/** A name as a part of a JSON pointer. */
export function escaped(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
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

export function readTypes(fields: Fields, place: string): readonly TypeName[] | null {
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
export function readValues(fields: Fields, place: string): Values | null {
  const only = own(fields, "const");
  const list = own(fields, "enum");
  if (list !== undefined && !isList(list)) throw new SchemaRefused(below(place, "enum"), "must be a list of values");
  if (only === undefined && list === undefined) return null;
  const inBoth = only === undefined ? (list ?? []) : [only].filter((value) => list === undefined || holds(list, value));
  const composed = inBoth.filter((value) => typeof value === "object" && value !== null);
  return {
    plain: new Set(inBoth.filter((value) => typeof value !== "object" || value === null)),
    composed: new Set(composed.map((value) => canonical(value, free))),
    shown: shorten(inBoth.map((value) => JSON.stringify(value)).join(", ")),
  };
}

function holds(list: readonly Json[], value: Json): boolean {
  const text = canonical(value, free);
  return list.some((each) => canonical(each, free) === text);
}

/** A text for a message. */
export function shorten(text: string): string {
  return text.length <= SHOWN_MAX_CHARS ? text : `${text.slice(0, SHOWN_MAX_CHARS)}…`;
}

export function readNumbers(fields: Fields, place: string): NumberRules | null {
  const rules = {
    minimum: readNumber(fields, place, "minimum"),
    maximum: readNumber(fields, place, "maximum"),
    exclusiveMinimum: readNumber(fields, place, "exclusiveMinimum"),
    exclusiveMaximum: readNumber(fields, place, "exclusiveMaximum"),
    multipleOf: readNumber(fields, place, "multipleOf"),
  };
  if (rules.multipleOf !== null && rules.multipleOf <= 0) {
    throw new SchemaRefused(below(place, "multipleOf"), "must be more than 0");
  }
  return Object.values(rules).some((rule) => rule !== null) ? rules : null;
}

export function readStrings(
  fields: Fields,
  place: string,
  readPattern: (source: string, place: string) => Machine,
): StringRules | null {
  const pattern = readText(fields, place, "pattern");
  const name = readText(fields, place, "format");
  const has = name === null ? undefined : formatOf(name);
  const rules = {
    minLength: readCount(fields, place, "minLength") ?? 0,
    maxLength: readCount(fields, place, "maxLength") ?? Infinity,
    pattern: pattern === null ? null : readPattern(pattern, below(place, "pattern")),
    format: name === null || has === undefined ? null : { name, has },
  };
  const { minLength, maxLength } = rules;
  const isFree = minLength === 0 && maxLength === Infinity && rules.pattern === null && rules.format === null;
  return isFree ? null : rules;
}

function readNumber(fields: Fields, place: string, name: string): number | null {
  const value = own(fields, name);
  if (value === undefined) return null;
  if (typeof value !== "number" || !Number.isFinite(value))
    throw new SchemaRefused(below(place, name), "must be a number");
  return value;
}

export function readCount(fields: Fields, place: string, name: string): number | null {
  const value = readNumber(fields, place, name);
  if (value === null || (Number.isInteger(value) && value >= 0)) return value;
  throw new SchemaRefused(below(place, name), "must be a whole number from 0 on");
}

export function readText(fields: Fields, place: string, name: string): string | null {
  const value = own(fields, name);
  if (value === undefined) return null;
  if (typeof value !== "string") throw new SchemaRefused(below(place, name), "must be a text");
  return value;
}

export function readNames(value: Json | undefined, place: string): readonly string[] {
  if (value === undefined) return [];
  const names = isList(value) ? value.filter((name) => typeof name === "string") : [];
  if (!isList(value) || names.length < value.length) throw new SchemaRefused(place, "must be a list of names");
  return names;
}
