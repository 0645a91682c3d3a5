// How deep a schema is, and against how many subschemas it checks one value: both are bounded before anything is checked by it.
import { SchemaRefused } from "./keywords.ts";
import { SCHEMAS_OF_VALUE_MAX } from "./limits.ts";
import { isList, type Json, type SchemaNode } from "./nodes.ts";

/** The names on the way to a list or an object that stands in as many others or more; null: there is none. */
export function deepestOf(value: Json, levels: number): (string | number)[] | null {
  if (typeof value !== "object" || value === null) return null;
  if (levels === 0) return [];
  if (isList(value)) {
    for (let at = 0; at < value.length; at += 1) {
      const deep = deepestOf(value[at] ?? null, levels - 1);
      if (deep !== null) return [at, ...deep];
    }
    return null;
  }
  for (const name of Object.keys(value)) {
    const deep = deepestOf(value[name] ?? null, levels - 1);
    if (deep !== null) return [name, ...deep];
  }
  return null;
}

/** Subschemas that a value is checked against by this one; a circle of them would have no end. */
export function countOfValue(node: SchemaNode, counts: Map<SchemaNode, number>): number {
  const known = counts.get(node);
  if (known === OPEN) throw new SchemaRefused(node.place, "refers to itself for the same value, without end");
  if (known !== undefined) return known;
  counts.set(node, OPEN);
  let count = 1;
  const { all, any, one, not, condition, objects } = node;
  for (const form of all) count += countOfValue(form, counts);
  if (any !== null) for (const form of any) count += countOfValue(form, counts);
  if (one !== null) for (const form of one) count += countOfValue(form, counts);
  if (not !== null) count += countOfValue(not, counts);
  if (condition !== null) {
    const { when, met, unmet } = condition;
    for (const each of [when, met, unmet]) if (each !== null) count += countOfValue(each, counts);
  }
  if (objects !== null) for (const each of objects.dependentSchemas) count += countOfValue(each.node, counts);
  if (count > SCHEMAS_OF_VALUE_MAX) {
    throw new SchemaRefused(node.place, `checks one value against more than ${SCHEMAS_OF_VALUE_MAX} subschemas`);
  }
  counts.set(node, count);
  return count;
}

/** The count of a subschema that is being counted. */
const OPEN = 0;
