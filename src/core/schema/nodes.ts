// A schema as a check walks it: made once by compile.ts, with its references followed and its expressions read.
import type { Path } from "./path.ts";
import type { Machine } from "./pattern-parser.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export type TypeName = "null" | "boolean" | "object" | "array" | "number" | "string" | "integer";

/** The values of `enum` or `const`: lists and objects by their canonical text, all others by their key. */
export interface Values {
  readonly allowed: readonly Json[];
  readonly plain: ReadonlySet<Json>;
  /** Null: there is no list or object among them. */
  readonly composed: ReadonlySet<string> | null;
}

export interface NumberRules {
  readonly minimum: number | null;
  readonly maximum: number | null;
  readonly exclusiveMinimum: number | null;
  readonly exclusiveMaximum: number | null;
  readonly multipleOf: number | null;
}

export interface StringRules {
  readonly minLength: number;
  readonly maxLength: number;
  readonly pattern: Machine | null;
  readonly format: { readonly name: string; readonly has: (text: string) => boolean } | null;
}

export interface ObjectRules {
  readonly required: readonly string[];
  readonly minProperties: number;
  readonly maxProperties: number;
  /** By the keys of their names. */
  readonly properties: ReadonlyMap<string, SchemaNode>;
  readonly patterns: readonly { readonly machine: Machine; readonly node: SchemaNode }[];
  readonly additional: SchemaNode | null;
  readonly names: SchemaNode | null;
  readonly dependentRequired: readonly { readonly name: string; readonly needs: readonly string[] }[];
  readonly dependentSchemas: readonly { readonly name: string; readonly node: SchemaNode }[];
  readonly unevaluated: SchemaNode | null;
}

export interface ArrayRules {
  readonly minItems: number;
  readonly maxItems: number;
  readonly unique: boolean;
  readonly prefix: readonly SchemaNode[];
  /** Behind the prefix. */
  readonly items: SchemaNode | null;
  readonly contains: { readonly node: SchemaNode; readonly min: number; readonly max: number } | null;
  readonly unevaluated: SchemaNode | null;
}

/** A whole schema, and the work of reading it: the first check by it in an isolate comes with that, so each has that much less to do. */
export interface ReadSchema {
  readonly root: SchemaNode;
  readonly work: number;
}

/** One subschema. Its members are filled in after it is made, because a schema may refer to itself. */
export interface SchemaNode {
  /** Where it stands in the schema, whose name is `#`. */
  readonly place: Path;
  /** The schema `false`. */
  never: boolean;
  /** It holds no other schema. */
  isLeaf: boolean;
  /** It has a rule for what no other schema has spoken of. */
  needsSeen: boolean;
  types: readonly TypeName[] | null;
  values: Values | null;
  numbers: NumberRules | null;
  strings: StringRules | null;
  objects: ObjectRules | null;
  arrays: ArrayRules | null;
  /** `$ref`, and every schema of `allOf`. */
  all: readonly SchemaNode[];
  any: readonly SchemaNode[] | null;
  one: readonly SchemaNode[] | null;
  not: SchemaNode | null;
  condition: {
    readonly when: SchemaNode;
    readonly met: SchemaNode | null;
    readonly unmet: SchemaNode | null;
  } | null;
}

/**
 * The text by which a text is kept in a set or a map. The engine finds one of digits by its number alone, so that anybody can think of
 * thousands that have one place there; where any other stands depends on a secret of the process.
 */
export function keyOf(text: string): string {
  const first = text.charCodeAt(0);
  return (first >= ZERO && first <= NINE) || first === TILDE ? `~${text}` : text;
}

/** The same for a value that is no list and no object: numbers are found by themselves, too. No key of a text begins as one of these. */
export function keyOfPlain(value: null | boolean | number | string): null | boolean | string {
  if (typeof value === "string") return keyOf(value);
  return typeof value === "number" ? `~#${value}` : value;
}

const ZERO = 0x30;
const NINE = 0x39;
const TILDE = 0x7e;

/** A text that equal values have in common, whatever the order of their members. `spend` is told of the work. */
export function canonical(value: Json, spend: (units: number) => void): string {
  if (typeof value === "string") {
    spend(1 + value.length / 16);
    return JSON.stringify(value);
  }
  spend(4);
  if (typeof value !== "object" || value === null) return String(value);
  if (isList(value)) return `[${value.map((item) => canonical(item, spend)).join()}]`;
  const names = Object.keys(value).sort();
  spend(2 * names.length);
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? null, spend)}`).join()}}`;
}

export function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}
