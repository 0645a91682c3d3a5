// The fields of a schema as nested lists.
import { type OpenApi, resolve, type Schema, typeText } from "./description.ts";
import { element } from "./element.ts";

const DEPTH_MAX = 6;

/** The fields of an object, of each kind of it, or of what a list holds; for anything else its type. */
export function fieldsOf(api: OpenApi, given: Schema, depth = 0): HTMLElement {
  const schema = resolve(api, given);
  const list = element("ul", { class: "fields" });
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    list.append(fieldOf(api, name, field, schema.required?.includes(name) ?? false, depth));
  }
  if (list.childElementCount > 0) return list;
  return inner(api, schema, depth) ?? element("p", { class: "type" }, typeText(api, given));
}

function fieldOf(api: OpenApi, name: string, given: Schema, required: boolean, depth: number): HTMLElement {
  const schema = resolve(api, given);
  const description = given.description ?? schema.description;
  const type = element("span", { class: "type" }, ` ${typeText(api, given)}${required ? ", required" : ""}`);
  const item = element("li", {}, element("code", {}, name), type);
  if (schema.default !== undefined) item.append(`, without it ${JSON.stringify(schema.default)}`);
  if (description !== undefined) item.append(`. ${description}`);
  const nested = schema.properties === undefined ? inner(api, schema, depth) : fieldsOf(api, schema, depth + 1);
  if (nested !== null && depth < DEPTH_MAX) item.append(nested);
  return item;
}

/** What is within a list, a map or a choice; null: nothing that has fields. */
function inner(api: OpenApi, { items, anyOf, oneOf, additionalProperties }: Schema, depth: number): HTMLElement | null {
  if (depth >= DEPTH_MAX) return null;
  const members = typeof additionalProperties === "object" ? [additionalProperties] : [];
  const parts = [...(items === undefined ? [] : [items]), ...members, ...(anyOf ?? oneOf ?? [])];
  const withFields = parts.filter((part) => hasFields(api, part));
  if (withFields.length === 0) return null;
  return element("div", {}, ...withFields.map((part) => fieldsOf(api, part, depth + 1)));
}

function hasFields(api: OpenApi, given: Schema): boolean {
  const { properties, items, anyOf, oneOf } = resolve(api, given);
  if (properties !== undefined) return true;
  return [...(items === undefined ? [] : [items]), ...(anyOf ?? oneOf ?? [])].some((part) => hasFields(api, part));
}
