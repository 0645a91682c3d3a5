// The keywords that are read together. What a subschema has is found out by one look at the names of its members: most have two or
// three of some fifty keywords, and to ask for each took most of the time in which a schema is read.
import type { Fields } from "./keywords.ts";

/** Names of the schema, references to others, and schemas that are kept for those. */
export const NAMES = 1;
export const TYPES = 2;
export const VALUES = 4;
export const NUMBERS = 8;
export const STRINGS = 16;
export const OBJECTS = 32;
export const ARRAYS = 64;
/** Schemas for the same value. */
export const SCHEMAS = 128;

const KEYWORDS: readonly (readonly [group: number, names: string])[] = [
  [NAMES, "$ref $id $anchor $dynamicAnchor $dynamicRef $recursiveRef $defs definitions"],
  [TYPES, "type"],
  [VALUES, "const enum"],
  [NUMBERS, "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf"],
  [STRINGS, "minLength maxLength pattern format"],
  [OBJECTS, "required minProperties maxProperties properties patternProperties additionalProperties propertyNames"],
  [OBJECTS, "dependentRequired dependentSchemas dependencies unevaluatedProperties"],
  [ARRAYS, "minItems maxItems uniqueItems prefixItems items additionalItems contains minContains maxContains"],
  [ARRAYS, "unevaluatedItems"],
  [SCHEMAS, "allOf anyOf oneOf not if then else"],
];
const GROUP_OF: ReadonlyMap<string, number> = new Map(
  KEYWORDS.flatMap(([group, names]) => names.split(" ").map((name) => [name, group] as const)),
);

/** The groups of which a subschema has a keyword, added up. */
export function groupsOf(fields: Fields): number {
  let groups = 0;
  for (const name of Object.keys(fields)) groups |= GROUP_OF.get(name) ?? 0;
  return groups;
}
