// Makes values by chance that fit a schema mostly, and breaks them. Another validator says which of them are valid.
import { seededRandom } from "../../sim/random.ts";

// biome-ignore lint/suspicious/noExplicitAny: schemas and values are of any shape
type Any = any;

const WORDS = [
  "a",
  "cat",
  "en",
  "en-US",
  "large-v3",
  "x".repeat(41),
  "",
  "K_EULER",
  "😀😀",
  "toString",
  "0123456789",
  "AAA=",
  "my/model-1",
];
const BY_FORMAT: Readonly<Record<string, readonly string[]>> = {
  uri: [
    "https://a.example/b.png?x=1#y",
    "data:image/png;base64,AAA=",
    "http://[::1]:80/",
    "not a uri",
    "/only/path",
    "http://a b",
  ],
  "uri-reference": ["/a/b", "b.png", "https://x.example", "a b", "\\x"],
  "date-time": [
    "2026-11-29T08:00:00Z",
    "2024-02-29T23:59:60Z",
    "2026-02-30T00:00:00Z",
    "2026-11-29",
    "2026-11-29T25:00:00Z",
    "2026-11-29t08:00:00.5+01:00",
  ],
  date: ["2026-11-29", "2023-02-29", "2026-13-01", "26-1-1"],
  time: ["08:00:00Z", "24:00:00Z", "08:00:00", "08:00:00.25-05:30"],
  duration: ["P1D", "PT5M", "P1W", "P", "PT", "P1Y2M3DT4H5M6S", "1D"],
  email: ["me@example.org", "a.b+c@x.co", "me@", "@x.org", "a b@x.org"],
  hostname: ["nas.local", "a", "-a", "a_b", "x.example.org"],
  ipv4: ["10.0.0.1", "255.255.255.255", "256.1.1.1", "1.2.3"],
  ipv6: ["::1", "2001:db8::1", "1:2:3:4:5:6:7:8", ":::", "::ffff:10.0.0.1"],
  uuid: [
    "0193a0f2-7b1c-7def-8a11-0123456789ab",
    "0193a0f2-7b1c-7def-8a11-0123456789a",
    "g193a0f2-7b1c-7def-8a11-0123456789ab",
  ],
  "json-pointer": ["", "/a/b", "/a~1b", "a", "/a~2"],
};
const FOR_PATTERNS = [
  "12345",
  "12345-6789",
  "K1A 0B1",
  "1234 AB",
  "AB-12",
  "ABC-1234",
  "1.2.3",
  "0.1.0-rc.1",
  "12.50",
  "-3",
  "1",
  "42",
  "a.b_c",
  "me",
  "pic.png",
  "pic.jpeg",
  "org/model",
  "/dev/sda1",
  "/mnt/data",
  "/",
  "_x",
  "ab",
  "de",
  "de-AT",
  "QUJD",
  "@a/b",
  "pkg",
  "abcd1234-ab12-ab12-ab12-abcd1234abcd",
];
const ANY = [null, true, false, 0, 1, -1, 2.5, 1e21, "a", "", [], [1], {}, { a: 1 }];

export class Samples {
  readonly #next: () => number;
  readonly #root: Any;

  constructor(root: Any, seed: number) {
    this.#root = root;
    this.#next = seededRandom(seed).next;
  }

  /** A value for a schema, which may be broken in a place or two. */
  value(broken: boolean): Any {
    const value = this.#of(this.#root, 0);
    return broken ? this.#broken(value, 0) : value;
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#next() * list.length)] as T;
  }

  #chance(of: number): boolean {
    return this.#next() < of;
  }

  #of(schema: Any, depth: number): Any {
    if (typeof schema !== "object") return this.#pick(ANY);
    const whole = this.#merged(schema, depth);
    if ("const" in whole) return whole.const;
    if (whole.enum !== undefined) return this.#pick(whole.enum);
    const types = whole.type === undefined ? this.#guess(whole) : [whole.type].flat();
    return this.#typed(this.#pick(types), whole, depth);
  }

  #guess(schema: Any): string[] {
    if (schema.properties !== undefined || schema.required !== undefined || schema.patternProperties !== undefined)
      return ["object"];
    if (schema.format !== undefined || schema.pattern !== undefined) return ["string"];
    return ["string", "number", "null", "object"];
  }

  /** The schema with one of its forms, what all of them say, and what it refers to. */
  #merged(schema: Any, depth: number): Any {
    const parts = [schema];
    if (schema.$ref !== undefined) parts.push(this.#merged(this.#find(schema.$ref), depth + 1));
    for (const each of schema.allOf ?? []) parts.push(this.#merged(each, depth + 1));
    for (const forms of [schema.anyOf, schema.oneOf]) {
      // Deep in a schema that refers to itself the last form ends it.
      if (forms !== undefined) parts.push(this.#merged(depth > 12 ? forms.at(-1) : this.#pick(forms), depth + 1));
    }
    if (schema.then !== undefined && this.#chance(0.5)) parts.push(this.#merged(schema.then, depth + 1));
    const merged = Object.assign({}, ...parts.map((part) => (typeof part === "object" ? part : {})));
    merged.properties = Object.assign({}, ...parts.map((part) => part.properties ?? {}));
    merged.required = parts.flatMap((part) => part.required ?? []);
    if (Object.keys(merged.properties).length === 0) delete merged.properties;
    if (merged.required.length === 0) delete merged.required;
    return merged;
  }

  #find(target: string): Any {
    if (target.endsWith("#node")) return this.#root.$defs.node;
    return target
      .slice(2)
      .split("/")
      .reduce((value, name) => value[name], this.#root);
  }

  #typed(type: string, schema: Any, depth: number): Any {
    switch (type) {
      case "null":
        return null;
      case "boolean":
        return this.#chance(0.5);
      case "integer":
      case "number":
        return this.#number(type, schema);
      case "string":
        return this.#text(schema);
      case "array":
        return this.#array(schema, depth);
      default:
        return this.#object(schema, depth);
    }
  }

  #number(
    type: string,
    { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf = type === "integer" ? 1 : 0.001 }: Any,
  ): number {
    const low = minimum ?? exclusiveMinimum ?? -10;
    const high = maximum ?? exclusiveMaximum ?? Math.max(low, 0) + 100;
    const at = this.#chance(0.1) ? low : this.#chance(0.1) ? high : low + this.#next() * (high - low);
    return this.#chance(0.9) ? Number((Math.round(at / multipleOf) * multipleOf).toFixed(6)) : at;
  }

  #text({ format, pattern, minLength = 0 }: Any): string {
    if (format !== undefined)
      return this.#chance(0.7) ? (BY_FORMAT[format]?.[0] ?? "x") : this.#pick(BY_FORMAT[format] ?? WORDS);
    if (pattern !== undefined) {
      const fitting = FOR_PATTERNS.filter((each) => new RegExp(pattern, "u").test(each));
      return this.#chance(0.85) && fitting.length > 0 ? this.#pick(fitting) : this.#pick([...FOR_PATTERNS, ...WORDS]);
    }
    return this.#pick(WORDS.filter((word) => word.length >= minLength && word.length < 40));
  }

  #array(schema: Any, depth: number): Any[] {
    const { minItems = 0, prefixItems = Array.isArray(schema.items) ? schema.items : [], contains } = schema;
    const rest = Array.isArray(schema.items) ? schema.additionalItems : schema.items;
    const least = depth > 6 ? minItems : Math.max(minItems, Math.floor(this.#next() * 4));
    const length = rest === false ? prefixItems.length : Math.max(least, this.#chance(0.9) ? prefixItems.length : 0);
    return Array.from({ length }, (_, index) => {
      const its = this.#of(prefixItems[index] ?? rest ?? {}, depth + 1);
      const contained = contains !== undefined && index === 0 && this.#chance(0.9) ? this.#of(contains, depth + 1) : {};
      return typeof its === "object" && its !== null && !Array.isArray(its) ? { ...its, ...contained } : its;
    });
  }

  #object(schema: Any, depth: number): Any {
    const { properties = {}, required = [], patternProperties = {}, additionalProperties, minProperties = 0 } = schema;
    const made: Record<string, Any> = {};
    for (const name of new Set<string>([...required, ...Object.keys(properties)])) {
      const isNeeded = required.includes(name);
      if (this.#chance(isNeeded ? 0.97 : depth > 6 ? 0.05 : 0.5))
        made[name] = this.#of(properties[name] ?? {}, depth + 1);
    }
    for (const [pattern, its] of Object.entries(patternProperties)) {
      const fitting = FOR_PATTERNS.filter((each) => new RegExp(pattern, "u").test(each));
      if (fitting.length > 0 && (this.#chance(0.6) || minProperties > 0))
        made[this.#pick(fitting)] = this.#of(its, depth + 1);
    }
    if (typeof additionalProperties === "object" && this.#chance(0.7))
      made[this.#pick(FOR_PATTERNS)] = this.#of(additionalProperties, depth + 1);
    return made;
  }

  #broken(value: Any, depth: number): Any {
    const isComposed = typeof value === "object" && value !== null;
    if (isComposed && this.#chance(depth === 0 ? 0.95 : 0.7)) {
      const names = Object.keys(value);
      const name = this.#pick(names);
      if (Array.isArray(value)) {
        if (names.length === 0 || this.#chance(0.3))
          return [...value, this.#pick(names.length > 0 && this.#chance(0.5) ? value : ANY)];
        return value.map((item, index) => (String(index) === name ? this.#broken(item, depth + 1) : item));
      }
      if (names.length === 0 || this.#chance(0.15))
        return { ...value, [this.#pick(["extra", "toString", "constructor", "_x", "certificate"])]: this.#pick(ANY) };
      if (this.#chance(0.25)) return Object.fromEntries(Object.entries(value).filter(([each]) => each !== name));
      return { ...value, [name as string]: this.#broken(value[name as string], depth + 1) };
    }
    if (typeof value === "number" && this.#chance(0.5))
      return this.#pick([value + 0.5, -value, value * 1000, value + 1]);
    if (typeof value === "string" && this.#chance(0.5))
      return this.#pick([`${value}!`, value.slice(1), value.toUpperCase(), value.repeat(3)]);
    return this.#pick(ANY);
  }
}
