// Judges a JSON Schema and makes the nodes that a check walks. Refused is what is no schema of draft 2020-12 or draft-07, what refers to
// something outside of it, and what would let a check work without end: so no rule here looks for known attacks, but every part has a
// bound. Keywords and formats that are not known say nothing, as the standard has it.
import { utf8Length } from "../bytes/utf8.ts";
import {
  below,
  type Fields,
  membersOf,
  own,
  readCount,
  readNames,
  readNumbers,
  readStrings,
  readText,
  readTypes,
  readValues,
  SchemaRefused,
} from "./keywords.ts";
import {
  PATTERN_CLASSES_MAX,
  PATTERN_STATES_MAX,
  POINTER_MAX_CHARS,
  SCHEMA_DEPTH_MAX,
  SCHEMA_MAX_BYTES,
  SCHEMAS_OF_VALUE_MAX,
  SHOWN_MAX_CHARS,
  SUBSCHEMAS_MAX,
} from "./limits.ts";
import { type ArrayRules, inPlace, isList, type Json, type ObjectRules, type SchemaNode } from "./nodes.ts";
import { type Machine, PatternRefused, readPattern } from "./pattern-parser.ts";

/** Why a schema is refused. `place`: a JSON pointer into it, with a `#` before it. */
export interface SchemaProblem {
  readonly place: string;
  readonly message: string;
}

export type Compiled =
  | { readonly ok: true; readonly root: SchemaNode }
  | { readonly ok: false; readonly problem: SchemaProblem };

/** Makes a schema of its JSON text. */
export function compileSchema(text: string): Compiled {
  try {
    if (utf8Length(text) > SCHEMA_MAX_BYTES) throw new SchemaRefused("#", `may have at most ${SCHEMA_MAX_BYTES} bytes`);
    const value: Json = JSON.parse(text);
    return { ok: true, root: new Compiler(value).compile() };
  } catch (error) {
    if (!(error instanceof SchemaRefused)) throw error;
    return { ok: false, problem: { place: error.place, message: error.message } };
  }
}

const DRAFTS: Readonly<Record<string, 7 | 2020>> = {
  "json-schema.org/draft-07/schema": 7,
  "json-schema.org/draft/2020-12/schema": 2020,
};

class Compiler {
  readonly #value: Json;
  readonly #draft: 7 | 2020;
  /** The schema's own `$id`, with which a reference may begin. */
  readonly #id: string;
  readonly #nodes = new Map<string, SchemaNode>();
  readonly #anchors = new Map<string, SchemaNode>();
  readonly #machines = new Map<string, Machine>();
  #references: { readonly node: SchemaNode; readonly target: string }[] = [];
  readonly #classes = new Set<string>();
  #statesLeft = PATTERN_STATES_MAX;

  constructor(value: Json) {
    checkDepth(value, "#", 1);
    this.#value = value;
    const fields = membersOf(value) ?? {};
    const dialect = readText(fields, "#", "$schema") ?? "https://json-schema.org/draft/2020-12/schema";
    const draft = DRAFTS[dialect.replace(/^https?:\/\//, "").replace(/#$/, "")];
    if (draft === undefined) {
      throw new SchemaRefused(
        "#/$schema",
        "must name draft 2020-12, which is also what is meant without it, or draft-07",
      );
    }
    this.#draft = draft;
    this.#id = (readText(fields, "#", "$id") ?? "").replace(/#.*$/s, "");
  }

  compile(): SchemaNode {
    const root = this.#node(this.#value, "#");
    // What a reference leads to may hold more references.
    while (this.#references.length > 0) {
      const references = this.#references;
      this.#references = [];
      for (const { node, target } of references)
        node.all = [this.#find(target, below(node.place, "$ref")), ...node.all];
    }
    const counts = new Map<SchemaNode, number>();
    for (const node of this.#nodes.values()) countOfValue(node, counts, new Set());
    return root;
  }

  #node(value: Json, place: string): SchemaNode {
    const known = this.#nodes.get(place);
    if (known !== undefined) return known;
    const node = emptyNode(place);
    this.#nodes.set(place, node);
    if (this.#nodes.size > SUBSCHEMAS_MAX)
      throw new SchemaRefused(place, `is one subschema too many: ${SUBSCHEMAS_MAX} is the most`);
    if (value === false) node.never = true;
    if (typeof value === "boolean") return node;
    const fields = membersOf(value);
    if (fields === null) throw new SchemaRefused(place, "must be a schema: an object, true or false");
    this.#name(node, fields);
    for (const name of ["$defs", "definitions"]) this.#map(fields, place, name);
    const target = readText(fields, place, "$ref");
    if (target !== null) this.#references.push({ node, target });
    // In draft-07 a reference stands alone: what is beside it says nothing.
    if (target === null || this.#draft === 2020) this.#fill(node, fields);
    return node;
  }

  /** Notes the names by which references find this schema. */
  #name(node: SchemaNode, fields: Fields): void {
    const { place } = node;
    const id = readText(fields, place, "$id");
    const isAnchor = this.#draft === 7 && id?.startsWith("#") === true;
    if (id !== null && place !== "#" && !isAnchor) {
      throw new SchemaRefused(below(place, "$id"), "may stand in the outermost schema alone");
    }
    for (const name of ["$dynamicRef", "$recursiveRef"]) {
      if (own(fields, name) !== undefined)
        throw new SchemaRefused(below(place, name), "is not taken: $ref can name a schema");
    }
    const anchors =
      this.#draft === 7 ? [] : [readText(fields, place, "$anchor"), readText(fields, place, "$dynamicAnchor")];
    for (const anchor of isAnchor ? [id.slice(1)] : anchors) {
      if (anchor === null) continue;
      if (this.#anchors.has(anchor)) throw new SchemaRefused(place, `has the same anchor as another schema: ${anchor}`);
      this.#anchors.set(anchor, node);
    }
  }

  #fill(node: SchemaNode, fields: Fields): void {
    const { place } = node;
    node.types = readTypes(fields, place);
    node.values = readValues(fields, place);
    node.numbers = readNumbers(fields, place);
    node.strings = readStrings(fields, place, (source, at) => this.#machine(source, at));
    node.objects = this.#objects(fields, place);
    node.arrays = this.#arrays(fields, place);
    node.all = this.#list(fields, place, "allOf") ?? [];
    node.any = this.#list(fields, place, "anyOf");
    node.one = this.#list(fields, place, "oneOf");
    node.not = this.#sub(fields, place, "not");
    const when = this.#sub(fields, place, "if");
    const met = this.#sub(fields, place, "then");
    const unmet = this.#sub(fields, place, "else");
    node.condition = when === null ? null : { when, met, unmet };
  }

  #objects(fields: Fields, place: string): ObjectRules | null {
    const isNew = this.#draft === 2020;
    // `dependencies` is of draft-07; validators of newer drafts take it, too, because it was common.
    const older = readMembers(fields, place, "dependencies");
    const dependentRequired = [
      ...(isNew ? readMembers(fields, place, "dependentRequired") : []).map(
        (each) => ["dependentRequired", ...each] as const,
      ),
      ...older.filter(([, value]) => isList(value)).map((each) => ["dependencies", ...each] as const),
    ].map(([keyword, name, value]) => ({ name, needs: readNames(value, below(place, keyword, name)) }));
    const dependentSchemas = [
      ...(isNew ? this.#map(fields, place, "dependentSchemas") : []),
      ...older
        .filter(([, value]) => !isList(value))
        .map(([name, value]) => [name, this.#node(value, below(place, "dependencies", name))] as const),
    ].map(([name, node]) => ({ name, node }));
    const rules = {
      required: readNames(own(fields, "required"), below(place, "required")),
      minProperties: readCount(fields, place, "minProperties") ?? 0,
      maxProperties: readCount(fields, place, "maxProperties") ?? Infinity,
      properties: new Map(this.#map(fields, place, "properties")),
      patterns: this.#map(fields, place, "patternProperties").map(([source, node]) => ({
        machine: this.#machine(source, node.place),
        node,
      })),
      additional: this.#sub(fields, place, "additionalProperties"),
      names: this.#sub(fields, place, "propertyNames"),
      dependentRequired,
      dependentSchemas,
      unevaluated: isNew ? this.#sub(fields, place, "unevaluatedProperties") : null,
    };
    return OBJECT_KEYWORDS.some((name) => Object.hasOwn(fields, name)) ? rules : null;
  }

  #arrays(fields: Fields, place: string): ArrayRules | null {
    const isNew = this.#draft === 2020;
    const items = own(fields, "items");
    if (isNew && items !== undefined && isList(items)) {
      throw new SchemaRefused(
        below(place, "items"),
        "must be one schema; a list of them is prefixItems in draft 2020-12",
      );
    }
    const isTuple = items !== undefined && isList(items);
    const prefix = isTuple
      ? this.#list(fields, place, "items")
      : isNew
        ? this.#list(fields, place, "prefixItems")
        : null;
    const contained = this.#sub(fields, place, "contains");
    const min = isNew ? readCount(fields, place, "minContains") : null;
    const max = isNew ? readCount(fields, place, "maxContains") : null;
    const unique = own(fields, "uniqueItems");
    if (unique !== undefined && typeof unique !== "boolean") {
      throw new SchemaRefused(below(place, "uniqueItems"), "must be true or false");
    }
    const rules = {
      minItems: readCount(fields, place, "minItems") ?? 0,
      maxItems: readCount(fields, place, "maxItems") ?? Infinity,
      unique: unique === true,
      prefix: prefix ?? [],
      items: isTuple ? this.#sub(fields, place, "additionalItems") : this.#sub(fields, place, "items"),
      contains: contained === null ? null : { node: contained, min: min ?? 1, max: max ?? Infinity },
      unevaluated: isNew ? this.#sub(fields, place, "unevaluatedItems") : null,
    };
    return ARRAY_KEYWORDS.some((name) => Object.hasOwn(fields, name)) ? rules : null;
  }

  #sub(fields: Fields, place: string, name: string): SchemaNode | null {
    const value = own(fields, name);
    return value === undefined ? null : this.#node(value, below(place, name));
  }

  #list(fields: Fields, place: string, name: string): SchemaNode[] | null {
    const value = own(fields, name);
    if (value === undefined) return null;
    if (!isList(value) || value.length === 0) throw new SchemaRefused(below(place, name), "must be a list of schemas");
    return value.map((each, index) => this.#node(each, below(place, name, index)));
  }

  #map(fields: Fields, place: string, name: string): [string, SchemaNode][] {
    return readMembers(fields, place, name).map(([key, each]) => [key, this.#node(each, below(place, name, key))]);
  }

  #machine(source: string, place: string): Machine {
    const known = this.#machines.get(source);
    if (known !== undefined) return known;
    try {
      const machine = readPattern(source, this.#statesLeft);
      this.#statesLeft -= machine.states.length;
      for (const one of machine.classes) this.#classes.add(one);
      if (this.#classes.size > PATTERN_CLASSES_MAX) {
        throw new PatternRefused(
          `is beyond the ${PATTERN_CLASSES_MAX} different classes of characters that a schema may have`,
        );
      }
      this.#machines.set(source, machine);
      return machine;
    } catch (error) {
      if (error instanceof PatternRefused) throw new SchemaRefused(place, `the regular expression ${error.message}`);
      throw error;
    }
  }

  /** What a reference leads to. */
  #find(target: string, place: string): SchemaNode {
    const [id = "", ...rest] = target.split("#");
    const fragment = rest.join("#");
    if (id !== "" && id !== this.#id) throw new SchemaRefused(place, "may lead to a place in this schema alone: #/…");
    const decoded = decode(fragment);
    if (decoded === null) throw new SchemaRefused(place, "has a percent sign that begins no escape");
    const anchored = this.#anchors.get(decoded);
    if (anchored !== undefined) return anchored;
    if (decoded !== "" && !decoded.startsWith("/")) throw new SchemaRefused(place, `there is no anchor ${decoded}`);
    const names = decoded
      .split("/")
      .slice(1)
      .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    let value: Json | undefined = this.#value;
    for (const name of names) value = memberOf(value, name);
    if (value === undefined) throw new SchemaRefused(place, "leads to nothing in this schema");
    return this.#node(value, below("#", ...names));
  }
}

const OBJECT_KEYWORDS = [
  "required",
  "minProperties",
  "maxProperties",
  "properties",
  "patternProperties",
  "additionalProperties",
  "propertyNames",
  "dependentRequired",
  "dependentSchemas",
  "dependencies",
  "unevaluatedProperties",
];
const ARRAY_KEYWORDS = ["minItems", "maxItems", "uniqueItems", "prefixItems", "items", "contains", "unevaluatedItems"];

function emptyNode(place: string): SchemaNode {
  const rules = { types: null, values: null, numbers: null, strings: null, objects: null, arrays: null };
  return { place, never: false, ...rules, all: [], any: null, one: null, not: null, condition: null };
}

function readMembers(fields: Fields, place: string, name: string): [string, Json][] {
  const value = own(fields, name);
  if (value === undefined) return [];
  const members = membersOf(value);
  if (members === null) throw new SchemaRefused(below(place, name), "must be an object");
  return Object.entries(members);
}

function decode(fragment: string): string | null {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return null;
  }
}

/** An own member of an object or a list; undefined: there is none. A list of entries would be made anew for each reference. */
function memberOf(value: Json | undefined, name: string): Json | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

function checkDepth(value: Json, place: string, depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (place.length > POINTER_MAX_CHARS) {
    throw new SchemaRefused(place.slice(0, SHOWN_MAX_CHARS), "has too long names on the way to it");
  }
  if (depth > SCHEMA_DEPTH_MAX) throw new SchemaRefused(place, `is too deep: ${SCHEMA_DEPTH_MAX} levels are the most`);
  for (const [name, member] of Object.entries(value)) checkDepth(member, below(place, name), depth + 1);
}

/** Subschemas that a value is checked against by this one; a circle of them would have no end. */
function countOfValue(node: SchemaNode, counts: Map<SchemaNode, number>, open: Set<SchemaNode>): number {
  const known = counts.get(node);
  if (known !== undefined) return known;
  if (open.has(node)) throw new SchemaRefused(node.place, "refers to itself for the same value, without end");
  open.add(node);
  const count = inPlace(node).reduce((sum, each) => sum + countOfValue(each, counts, open), 1);
  open.delete(node);
  if (count > SCHEMAS_OF_VALUE_MAX) {
    throw new SchemaRefused(node.place, `checks one value against more than ${SCHEMAS_OF_VALUE_MAX} subschemas`);
  }
  counts.set(node, count);
  return count;
}
