// Judges a JSON Schema and makes the nodes that a check walks. Refused is what is no schema of draft 2020-12 or draft-07, what refers to
// something outside of it, and what would let a check work without end: so no rule here looks for known attacks, but every part has a
// bound. Keywords and formats that are not known say nothing, as the standard has it.
import { utf8Length } from "../bytes/utf8.ts";
import { countOfValue, deepestOf } from "./bounds.ts";
import { ARRAYS, groupsOf, NAMES, NUMBERS, OBJECTS, SCHEMAS, STRINGS, TYPES, VALUES } from "./groups.ts";
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
  CHECK_WORK_MAX,
  PATTERN_CLASSES_MAX,
  PATTERN_PROPERTIES_MAX,
  PATTERN_STATES_MAX,
  SCHEMA_DEPTH_MAX,
  SCHEMA_MAX_BYTES,
  SUBSCHEMAS_MAX,
} from "./limits.ts";
import {
  type ArrayRules,
  isList,
  type Json,
  keyOf,
  type ObjectRules,
  type ReadSchema,
  type SchemaNode,
} from "./nodes.ts";
import { atName, type Path, shorten } from "./path.ts";
import { type Machine, PatternReader, PatternRefused } from "./pattern-parser.ts";

/** Why a schema is refused. `place`: a JSON pointer into it, with a `#` before it. */
export interface SchemaProblem {
  readonly place: string;
  readonly message: string;
}

export type Compiled = ({ readonly ok: true } & ReadSchema) | { readonly ok: false; readonly problem: SchemaProblem };

/** Makes a schema of its JSON text. */
export function compileSchema(text: string): Compiled {
  try {
    if (utf8Length(text) > SCHEMA_MAX_BYTES)
      throw new SchemaRefused(ROOT, `may have at most ${SCHEMA_MAX_BYTES} bytes`);
    const value: Json = JSON.parse(text);
    return { ok: true, ...new Compiler(value).compile() };
  } catch (error) {
    if (!(error instanceof SchemaRefused)) throw error;
    return { ok: false, problem: { place: error.place, message: error.message } };
  }
}

const ROOT: Path = { up: null, name: "#" };

/** Work for reading a subschema: 1 to 2 µs, and 7 where the code has not run before. */
const SUBSCHEMA_UNITS = 25;
/** Work for reading a regular expression. */
const PATTERN_UNITS = 120;
/** Work for the first use of a class of characters, for which the engine makes a program. */
const CLASS_UNITS = 150;
/** The rest is left for inputs: a schema that can be saved can be used, however much there is in it. */
const READING_MAX_SHARE = 0.75;

const DRAFTS: Readonly<Record<string, 7 | 2020>> = {
  "json-schema.org/draft-07/schema": 7,
  "json-schema.org/draft/2020-12/schema": 2020,
};

class Compiler {
  readonly #value: Json;
  readonly #draft: 7 | 2020;
  /** The schema's own `$id`, with which a reference may begin. */
  readonly #id: string;
  /** By the values that JSON.parse has made of them, of which each stands in one place. */
  readonly #nodes = new Map<Fields, SchemaNode>();
  readonly #anchors = new Map<string, SchemaNode>();
  readonly #targets = new Map<string, SchemaNode>();
  readonly #machines = new Map<string, Machine>();
  readonly #patterns = new PatternReader({
    states: PATTERN_STATES_MAX,
    classes: PATTERN_CLASSES_MAX,
    properties: PATTERN_PROPERTIES_MAX,
  });
  #references: { readonly node: SchemaNode; readonly target: string }[] = [];
  #count = 0;

  constructor(value: Json) {
    const deep = deepestOf(value, SCHEMA_DEPTH_MAX);
    if (deep !== null) {
      throw new SchemaRefused(below(ROOT, ...deep), `is too deep: ${SCHEMA_DEPTH_MAX} levels are the most`);
    }
    this.#value = value;
    const fields = membersOf(value) ?? {};
    const dialect = readText(fields, ROOT, "$schema");
    const draft = dialect === null ? 2020 : DRAFTS[dialect.replace(/^https?:\/\//, "").replace(/#$/, "")];
    if (draft === undefined) {
      throw new SchemaRefused(
        atName(ROOT, "$schema"),
        "must name draft 2020-12, which is also what is meant without it, or draft-07",
      );
    }
    this.#draft = draft;
    this.#id = (readText(fields, ROOT, "$id") ?? "").split("#", 1)[0] ?? "";
  }

  compile(): ReadSchema {
    const root = this.#node(this.#value, ROOT);
    // What a reference leads to may hold more references.
    while (this.#references.length > 0) {
      const references = this.#references;
      this.#references = [];
      for (const { node, target } of references) {
        node.all = [this.#find(target, node.place), ...node.all];
        node.isLeaf = false;
      }
    }
    const counts = new Map<SchemaNode, number>();
    for (const node of this.#nodes.values()) countOfValue(node, counts);
    return { root, work: Math.min(this.#units(), READING_MAX_SHARE * CHECK_WORK_MAX) };
  }

  /** What has been done for the schema, as work of a check. */
  #units(): number {
    return this.#count * SUBSCHEMA_UNITS + this.#machines.size * PATTERN_UNITS + this.#patterns.classes * CLASS_UNITS;
  }

  #node(value: Json, place: Path): SchemaNode {
    const fields = membersOf(value);
    const known = fields === null ? undefined : this.#nodes.get(fields);
    if (known !== undefined) return known;
    this.#count += 1;
    if (this.#count > SUBSCHEMAS_MAX)
      throw new SchemaRefused(place, `is one subschema too many: ${SUBSCHEMAS_MAX} is the most`);
    const node = emptyNode(place);
    if (value === false) node.never = true;
    if (typeof value === "boolean") return node;
    if (fields === null) throw new SchemaRefused(place, "must be a schema: an object, true or false");
    this.#nodes.set(fields, node);
    const groups = groupsOf(fields);
    if ((groups & NAMES) !== 0) this.#name(node, fields);
    const target = (groups & NAMES) === 0 ? null : readText(fields, place, "$ref");
    if (target !== null) this.#references.push({ node, target });
    // In draft-07 a reference stands alone: what is beside it says nothing.
    if (target === null || this.#draft === 2020) this.#fill(node, fields, groups);
    return node;
  }

  /** Notes the names by which references find this schema. */
  #name(node: SchemaNode, fields: Fields): void {
    const { place } = node;
    const id = readText(fields, place, "$id");
    const isAnchor = this.#draft === 7 && id?.startsWith("#") === true;
    if (id !== null && place !== ROOT && !isAnchor) {
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
      if (this.#anchors.has(anchor))
        throw new SchemaRefused(place, `has the same anchor as another schema: ${shorten(anchor)}`);
      this.#anchors.set(anchor, node);
    }
    for (const name of ["$defs", "definitions"]) this.#map(fields, place, name);
  }

  #fill(node: SchemaNode, fields: Fields, groups: number): void {
    const { place } = node;
    if ((groups & TYPES) !== 0) node.types = readTypes(fields, place);
    if ((groups & VALUES) !== 0) node.values = readValues(fields, place);
    if ((groups & NUMBERS) !== 0) node.numbers = readNumbers(fields, place);
    if ((groups & STRINGS) !== 0) node.strings = readStrings(fields, place, (source, at) => this.#machine(source, at));
    if ((groups & OBJECTS) !== 0) node.objects = this.#objects(fields, place);
    if ((groups & ARRAYS) !== 0) node.arrays = this.#arrays(fields, place);
    node.isLeaf = (groups & (OBJECTS | ARRAYS | SCHEMAS)) === 0;
    node.needsSeen = (node.objects?.unevaluated ?? node.arrays?.unevaluated ?? null) !== null;
    if ((groups & SCHEMAS) === 0) return;
    node.all = this.#list(fields, place, "allOf") ?? NO_NODES;
    node.any = this.#list(fields, place, "anyOf");
    node.one = this.#list(fields, place, "oneOf");
    node.not = this.#sub(fields, place, "not");
    const when = this.#sub(fields, place, "if");
    const met = this.#sub(fields, place, "then");
    const unmet = this.#sub(fields, place, "else");
    node.condition = when === null ? null : { when, met, unmet };
  }

  #objects(fields: Fields, place: Path): ObjectRules {
    const isNew = this.#draft === 2020;
    const dependentRequired: { name: string; needs: readonly string[] }[] = [];
    const dependentSchemas: { name: string; node: SchemaNode }[] = [];
    // `dependencies` is of draft-07; validators of newer drafts take it, too, because it was common.
    for (const keyword of isNew ? ["dependencies", "dependentRequired"] : ["dependencies"]) {
      for (const [name, value] of readMembers(fields, place, keyword)) {
        const at = below(place, keyword, name);
        if (isList(value) || keyword !== "dependencies") dependentRequired.push({ name, needs: readNames(value, at) });
        else dependentSchemas.push({ name, node: this.#node(value, at) });
      }
    }
    if (isNew)
      for (const [name, node] of this.#map(fields, place, "dependentSchemas")) dependentSchemas.push({ name, node });
    const required = own(fields, "required");
    const properties = this.#map(fields, place, "properties");
    return {
      required: required === undefined ? [] : readNames(required, atName(place, "required")),
      minProperties: readCount(fields, place, "minProperties") ?? 0,
      maxProperties: readCount(fields, place, "maxProperties") ?? Infinity,
      properties:
        properties.length === 0 ? NO_PROPERTIES : new Map(properties.map(([name, node]) => [keyOf(name), node])),
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
  }

  #arrays(fields: Fields, place: Path): ArrayRules {
    const isNew = this.#draft === 2020;
    const items = own(fields, "items");
    const isTuple = items !== undefined && isList(items);
    if (isNew && isTuple) {
      throw new SchemaRefused(
        below(place, "items"),
        "must be one schema; a list of them is prefixItems in draft 2020-12",
      );
    }
    const contained = this.#sub(fields, place, "contains");
    const min = isNew ? readCount(fields, place, "minContains") : null;
    const max = isNew ? readCount(fields, place, "maxContains") : null;
    const unique = own(fields, "uniqueItems");
    if (unique !== undefined && typeof unique !== "boolean") {
      throw new SchemaRefused(below(place, "uniqueItems"), "must be true or false");
    }
    const prefix = isTuple
      ? this.#list(fields, place, "items")
      : isNew
        ? this.#list(fields, place, "prefixItems")
        : null;
    return {
      minItems: readCount(fields, place, "minItems") ?? 0,
      maxItems: readCount(fields, place, "maxItems") ?? Infinity,
      unique: unique === true,
      prefix: prefix ?? NO_NODES,
      items: this.#sub(fields, place, isTuple ? "additionalItems" : "items"),
      contains: contained === null ? null : { node: contained, min: min ?? 1, max: max ?? Infinity },
      unevaluated: isNew ? this.#sub(fields, place, "unevaluatedItems") : null,
    };
  }

  #sub(fields: Fields, place: Path, name: string): SchemaNode | null {
    const value = own(fields, name);
    return value === undefined ? null : this.#node(value, atName(place, name));
  }

  #list(fields: Fields, place: Path, name: string): SchemaNode[] | null {
    const value = own(fields, name);
    if (value === undefined) return null;
    if (!isList(value) || value.length === 0) throw new SchemaRefused(below(place, name), "must be a list of schemas");
    const at = atName(place, name);
    return value.map((each, index) => this.#node(each, atName(at, index)));
  }

  #map(fields: Fields, place: Path, name: string): readonly (readonly [string, SchemaNode])[] {
    const members = readMembers(fields, place, name);
    if (members.length === 0) return [];
    const at = atName(place, name);
    return members.map(([key, each]) => [key, this.#node(each, atName(at, key))]);
  }

  #machine(source: string, place: Path): Machine {
    const known = this.#machines.get(source);
    if (known !== undefined) return known;
    try {
      const machine = this.#patterns.read(source);
      this.#machines.set(source, machine);
      return machine;
    } catch (error) {
      if (error instanceof PatternRefused) throw new SchemaRefused(place, `the regular expression ${error.message}`);
      throw error;
    }
  }

  /** What a reference leads to. */
  #find(target: string, of: Path): SchemaNode {
    const known = this.#targets.get(target);
    if (known !== undefined) return known;
    const place = atName(of, "$ref");
    const [id = "", ...rest] = target.split("#");
    const fragment = rest.join("#");
    if (id !== "" && id !== this.#id) throw new SchemaRefused(place, "may lead to a place in this schema alone: #/…");
    const decoded = decode(fragment);
    if (decoded === null) throw new SchemaRefused(place, "has a percent sign that begins no escape");
    const node = this.#anchors.get(decoded) ?? this.#follow(decoded, place);
    this.#targets.set(target, node);
    return node;
  }

  #follow(pointer: string, place: Path): SchemaNode {
    if (pointer !== "" && !pointer.startsWith("/"))
      throw new SchemaRefused(place, `there is no anchor ${shorten(pointer)}`);
    const names = pointer
      .split("/")
      .slice(1)
      .map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
    let value: Json | undefined = this.#value;
    for (const name of names) value = memberOf(value, name);
    if (value === undefined) throw new SchemaRefused(place, "leads to nothing in this schema");
    return this.#node(value, below(ROOT, ...names));
  }
}

const NO_NODES: readonly SchemaNode[] = [];
const NO_PROPERTIES: ReadonlyMap<string, SchemaNode> = new Map();

function emptyNode(place: Path): SchemaNode {
  return {
    place,
    never: false,
    isLeaf: true,
    needsSeen: false,
    types: null,
    values: null,
    numbers: null,
    strings: null,
    objects: null,
    arrays: null,
    all: NO_NODES,
    any: null,
    one: null,
    not: null,
    condition: null,
  };
}

function readMembers(fields: Fields, place: Path, name: string): readonly (readonly [string, Json])[] {
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
