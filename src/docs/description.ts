// What the page reads of an OpenAPI document: its operations by group, the types of schemas as words, and a call of curl.

export interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>;

export interface Answer {
  readonly $ref?: string;
  readonly description?: string;
  readonly content?: Content;
}

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly security?: readonly unknown[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, Answer>>;
}

export interface OpenApi {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description?: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface Call extends Operation {
  readonly method: string;
  readonly path: string;
}

export interface Group {
  readonly name: string;
  readonly description: string;
  readonly calls: readonly Call[];
}

/** The operations by their first tag, in the order of the document's tags. */
export function groupsOf({ tags, paths }: OpenApi): Group[] {
  const calls = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Call => ({ ...operation, method: method.toUpperCase(), path })),
  );
  return tags.map(({ name, description = "" }) => ({
    name,
    description,
    calls: calls.filter((call) => call.tags[0] === name),
  }));
}

/** Does every word of a search occur in what names a call? */
export function matches({ method, path, operationId, summary, description, tags }: Call, search: string): boolean {
  const text = [method, path, operationId, summary, description, ...tags].join(" ").toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** What a reference within the document stands for; a thing that is no reference is itself. */
export function resolve<T extends { readonly $ref?: string }>({ components }: OpenApi, thing: T): T {
  const [, kind = "", name = ""] = /^#\/components\/(\w+)\/(.+)$/.exec(thing.$ref ?? "") ?? [];
  return (components[kind]?.[name] as T | undefined) ?? thing;
}

/** The name of a component that a schema refers to; "": it has none. */
function nameOf({ $ref = "" }: Schema): string {
  return $ref.split("/").at(-1) ?? "";
}

/** The type of a schema in a few words, such as `integer from 1 to 100`. */
export function typeText(api: OpenApi, given: Schema): string {
  const schema = resolve(api, given);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return [...new Set(choices.map((choice) => typeText(api, choice)))].join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.type === "array")
    return `list of ${schema.items === undefined ? "anything" : typeText(api, schema.items)}`;
  if (schema.type === undefined) return "anything";
  const type = typeof schema.type === "string" ? schema.type : schema.type.join(" or ");
  return [schema.format ?? (nameOf(given) || type), boundsText(schema)].filter((text) => text !== "").join(" ");
}

function boundsText({ minimum, maximum, minLength, maxLength }: Schema): string {
  const [from, to] = [minimum ?? minLength, maximum ?? maxLength];
  const unit = minLength === undefined && maxLength === undefined ? "" : " characters";
  const isWide = to === undefined || to === Number.MAX_SAFE_INTEGER;
  if (from === undefined || from === Number.MIN_SAFE_INTEGER) return isWide ? "" : `up to ${to}${unit}`;
  return isWide ? `from ${from}${unit}` : `from ${from} to ${to}${unit}`;
}

const DEPTH_MAX = 6;

/** A value that fits a schema, with what is required alone. */
export function sampleOf(api: OpenApi, given: Schema, depth = 0): unknown {
  const schema = resolve(api, given);
  const [example] = schema.examples ?? [];
  const known = example ?? schema.const ?? schema.default ?? schema.enum?.[0];
  if (known !== undefined) return known;
  const choice = (schema.anyOf ?? schema.oneOf ?? schema.allOf)?.[0];
  if (choice !== undefined) return sampleOf(api, choice, depth + 1);
  if (schema.properties !== undefined) {
    const names = depth > DEPTH_MAX ? [] : (schema.required ?? []);
    return Object.fromEntries(names.map((name) => [name, sampleOf(api, schema.properties?.[name] ?? {}, depth + 1)]));
  }
  if (schema.type === "array") return schema.items === undefined ? [] : [sampleOf(api, schema.items, depth + 1)];
  if (schema.type === "boolean") return true;
  if (schema.type === "integer" || schema.type === "number") return Math.max(schema.minimum ?? 1, 1);
  return schema.type === "string" ? "…" : {};
}

/** A line for a shell that makes the call; what it names in capitals is for the reader to fill in. */
export function curlOf(api: OpenApi, call: Call, origin: string): string {
  const path = call.path.replace(/\{(\w+)\}/g, (_, name: string) => name.toUpperCase());
  const parts = [`curl ${call.method === "GET" ? "" : `-X ${call.method} `}'${origin}${path}'`];
  if (call.security === undefined || call.security.length > 0) parts.push('-H "Authorization: Bearer $KEY"');
  const schema = call.requestBody?.content["application/json"]?.schema;
  if (schema !== undefined) {
    const body = JSON.stringify(sampleOf(api, schema)).replaceAll("'", "'\\''");
    parts.push("-H 'Content-Type: application/json'", `-d '${body}'`);
  }
  return parts.join(" \\\n  ");
}
