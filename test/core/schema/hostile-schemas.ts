// Schemas that are meant to do harm, each with an input that makes the most of it. A schema and an input may come from two people who
// work together, so each family is tried with the largest input that is taken: what is larger is refused before it is looked at.
import { CHECK_WORK_MAX, CHECKED_INPUT_MAX_BYTES } from "../../../src/core/schema/limits.ts";
import { workOfReading } from "../../../src/core/schema/reading.ts";

/** Null: an input does not matter, because the schema is refused. */
export type Hostile = readonly [name: string, schema: unknown, input: unknown];

const ENCODER = new TextEncoder();
const LONG = CHECKED_INPUT_MAX_BYTES - 20;
const as = "a".repeat(LONG);
const halfAs = "a".repeat(LONG / 2 - 10);

const EVIL_PATTERNS = [
  "^(a+)+$",
  "^(a*)*$",
  "^(a|a)*$",
  "^(a|aa)+$",
  "^(a|a?)+$",
  "^(.*a){20}$",
  "^(.*)(.*)(.*)(.*)x$",
  "a*a*a*a*a*b",
  "(a*)*b",
  "(?:a?){100}a{100}$",
  "^(([a-z])+.)+[A-Z]([a-z])+$",
  "^([a-zA-Z0-9])(([\\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+$",
  "^(([a-zA-Z]+|\\s)*)*$",
  "\\s+$",
  ".*.*=.*",
  "(.+)+(.+)+(.+)+\\d",
  '^(?:[^"\\\\]|\\\\.)*(?:a|[^b])*"$',
  "^(a?){200}a{200}$",
  "(?:(?:(?:a*)*)*)*z",
  "^(\\w+\\s?)*$",
  "^(\\d+|a+|[a-z]+)*!$",
  "(a|b|c|d|e|f|g|h|[a-h])*z$",
  "\\b(\\w*\\b)*x",
  "^(?:a{1,40}){1,40}$",
  "[a-z]{1,500}z$",
  "a{2000}",
  "(?:a{60}|a{59}){30}",
  "(x+x+)+y|(a+a+)+b",
  "(?:.{0,200}a){0,9}b",
  "^(?:\\p{L}+)+\\p{N}$",
];
const REFUSED_PATTERNS = [
  "(a)\\1",
  "(?=a+)+b",
  "(?!a)",
  "(?<=a)b",
  "(?<!a)b",
  "(?<n>a)\\k<n>",
  "a{4000000}",
  "((a{90}){90}){90}",
  "[",
  "(",
  "*",
  "a{2,1}",
  "\\p{Nothing}",
  "(?i:a)",
];

function nested(depth: number, open: (inner: unknown) => unknown, end: unknown): unknown {
  let value = end;
  for (let level = 0; level < depth; level += 1) value = open(value);
  return value;
}

/** `$defs` in which each leads twice, or as often as is said, to the next one, for the same value. */
function doubling(levels: number, keyword: string, times = 2): object {
  const $defs: Record<string, unknown> = { [`d${levels}`]: { type: "string" } };
  for (let level = 0; level < levels; level += 1) {
    $defs[`d${level}`] = { [keyword]: Array.from({ length: times }, () => ({ $ref: `#/$defs/d${level + 1}` })) };
  }
  return { $defs, $ref: "#/$defs/d0" };
}

/** Leads many times to itself, for what is in the value. */
function branching(times: number, keyword: string): object {
  const inside = { properties: { a: { $ref: "#" } }, items: { $ref: "#" } };
  return { [keyword]: Array.from({ length: times }, () => inside) };
}

const deepObject = nested(480, (a) => ({ a }), 1);
const deepList = nested(480, (a) => [a], 1);
const many = <T>(of: (at: number) => T, length = 250): T[] => Array.from({ length }, (_, at) => of(at));
/** A list or an object so large that to read it takes this share of the work that a check may do. */
function most<T>(make: (length: number) => T, share = 0.5): T {
  let length = 1;
  for (let step = 2 ** 16; step >= 1; step /= 2) {
    if (workOfReading(ENCODER.encode(JSON.stringify(make(length + step))), Infinity) < share * CHECK_WORK_MAX)
      length += step;
  }
  return make(length);
}

const keys = (length: number) => Object.fromEntries(many((at) => [`key${at}`, at] as const, length));
const manyKeys = most(keys);
const numbers = most((length) => many((at) => at, length));
const objects = most((length) => many((at) => ({ a: at }), length));
const lists = most((length) => many(() => [], length));
/** Numbers for which the engine's hash, which has no secret, ends in the same bits. */
function alike(length: number, bits: number, from = 0): number[] {
  const found: number[] = [];
  for (let number = from; found.length < length; number += 1) {
    let hash = ~number + (number << 15);
    hash ^= hash >>> 12;
    hash += hash << 2;
    hash ^= hash >>> 4;
    hash = Math.imul(hash, 2_057);
    hash ^= hash >>> 16;
    if ((hash & (2 ** bits - 1)) === 5) found.push(number);
  }
  return found;
}
const emojis = "😀".repeat(250_000);

function* families(): Generator<Hostile> {
  for (const pattern of EVIL_PATTERNS) {
    yield [`pattern ${pattern}`, { pattern }, `${as}!`];
    yield [
      `names by ${pattern}`,
      { patternProperties: { [pattern]: false }, additionalProperties: { pattern } },
      { [halfAs]: `${halfAs}!` },
    ];
  }
  for (const pattern of REFUSED_PATTERNS) yield [`pattern ${pattern}`, { pattern }, null];
  for (const pattern of EVIL_PATTERNS.slice(0, 8)) {
    yield [`many of ${pattern}`, { anyOf: many((at) => ({ pattern: `${pattern}|x{${at % 7}}y` }), 60) }, `${as}!`];
  }
  for (const keyword of ["allOf", "anyOf", "oneOf"]) {
    for (const levels of [5, 7, 12, 30]) yield [`doubling ${keyword} ${levels}`, doubling(levels, keyword), 1];
    for (const times of [2, 3, 100]) {
      yield [`branching ${keyword} ${times}`, branching(times, keyword), deepObject];
      yield [`branching ${keyword} ${times} in lists`, branching(times, keyword), deepList];
    }
    yield [`itself in ${keyword}`, { [keyword]: [{ $ref: "#" }] }, null];
    yield [`deep ${keyword}`, nested(14, (inner) => ({ [keyword]: [inner, {}] }), { type: "string" }), numbers];
    yield [`too deep ${keyword}`, nested(200, (inner) => ({ [keyword]: [inner] }), {}), null];
    yield [`wide ${keyword}`, { [keyword]: many((at) => ({ minProperties: at })) }, manyKeys];
    yield [`wide ${keyword} of lengths`, { [keyword]: many((at) => ({ minLength: 400_000 + at })) }, emojis];
    yield [
      `wide ${keyword} of formats`,
      { [keyword]: many((at) => ({ format: "uri", maxLength: 2_000_000 + at })) },
      `a:${as}`,
    ];
    yield [`wide ${keyword} of items`, { items: { [keyword]: many((at) => ({ const: -at - 1 })) } }, numbers];
    yield [`wide ${keyword} of unique items`, { [keyword]: many(() => ({ uniqueItems: true })) }, objects];
    yield [`wide ${keyword} of required`, { [keyword]: many((at) => ({ required: [`x${at}`] })) }, manyKeys];
    yield [`wide ${keyword} of values`, { [keyword]: many((at) => ({ enum: [{ a: at }, [at]] })) }, manyKeys];
  }
  for (const keyword of [
    "not",
    "if",
    "then",
    "else",
    "propertyNames",
    "contains",
    "additionalProperties",
    "items",
    "unevaluatedItems",
  ]) {
    yield [`deep ${keyword}`, nested(31, (inner) => ({ [keyword]: inner, if: true }), false), deepList];
    yield [`too deep ${keyword}`, nested(100, (inner) => ({ [keyword]: inner }), false), null];
  }
  yield ["itself", { $ref: "#" }, null];
  yield ["itself in not", { not: { $ref: "#" } }, null];
  yield ["itself in if", { if: { $ref: "#" } }, null];
  yield ["itself in else", { if: false, else: { $ref: "#" } }, null];
  yield ["itself behind a member", { dependentSchemas: { a: { $ref: "#" } } }, null];
  yield [
    "a circle of three",
    {
      $defs: { a: { $ref: "#/$defs/b" }, b: { allOf: [{ $ref: "#/$defs/c" }] }, c: { $ref: "#/$defs/a" } },
      $ref: "#/$defs/a",
    },
    null,
  ];
  yield ["a circle of anchors", { $anchor: "x", allOf: [{ $ref: "#x" }] }, null];
  yield ["a circle that is not used", { $defs: { a: { $ref: "#/$defs/a" } } }, null];
  yield [
    "an old circle",
    { $schema: "http://json-schema.org/draft-07/schema#", definitions: { a: { $ref: "#/definitions/a" } } },
    null,
  ];
  yield ["itself in items", { items: { $ref: "#" }, properties: { a: { $ref: "#" } } }, deepList];
  yield ["itself in names", { propertyNames: { $ref: "#" }, additionalProperties: { $ref: "#" } }, deepObject];
  yield ["unique numbers", { uniqueItems: true }, numbers];
  yield ["unique objects", { uniqueItems: true }, objects];
  yield ["unique lists", { uniqueItems: true }, lists];
  yield ["unique texts", { uniqueItems: true }, [as.slice(0, 300_000), as.slice(0, 300_001), as.slice(0, 300_002)]];
  yield ["unique deep lists", { uniqueItems: true, items: { $ref: "#" } }, nested(15, (inner) => [inner, inner], 1)];
  yield [
    "items in items",
    { items: { items: { items: { type: "number" } } } },
    most((length) => many(() => many(() => [1, 2, 3], 100), length / 100)),
  ];
  yield ["items of many numbers", { items: { type: "number", minimum: 0, multipleOf: 1e-300 } }, numbers];
  yield ["contains nothing", { contains: { const: "x" }, maxContains: 0, minContains: 0 }, numbers];
  yield [
    "contains in contains",
    { contains: { contains: { contains: { const: 1 } } } },
    most((length) => many(() => many(() => [0], 100), length / 100)),
  ];
  yield ["a large value", { enum: [manyKeys] }, manyKeys];
  yield ["large values", { enum: many((at) => ({ at, text: "x".repeat(50) })) }, manyKeys];
  yield ["a deep value", { const: nested(40, (a) => [a], 1) }, deepList];
  yield [
    "names of all",
    { propertyNames: { pattern: "^key\\d+$" }, additionalProperties: { type: "integer" } },
    manyKeys,
  ];
  yield [
    "patterns of all names",
    { patternProperties: Object.fromEntries(many((at) => [`y{0,9}${at}$`, {}] as const, 100)) },
    manyKeys,
  ];
  yield [
    "hundreds of expressions",
    { patternProperties: Object.fromEntries(many((at) => [`k${at}$`, {}] as const, 490)) },
    manyKeys,
  ];
  yield [
    "hundreds of expressions by a name of é",
    { patternProperties: Object.fromEntries(many((at) => [`^${at}`, {}] as const, 250)) },
    { é: 1 },
  ];
  yield [
    "hundreds of texts by expressions",
    { items: { anyOf: many((at) => ({ pattern: `^a${at}` }), 250) } },
    many((at) => `b${at}`, 900),
  ];
  yield [
    "unevaluated members",
    { anyOf: many(() => ({ additionalProperties: true })), unevaluatedProperties: false },
    manyKeys,
  ];
  yield [
    "unevaluated in unevaluated",
    nested(14, (inner) => ({ allOf: [inner], unevaluatedProperties: true }), { properties: { key1: {} } }),
    manyKeys,
  ];
  yield [
    "unevaluated items",
    { allOf: many(() => ({ contains: { type: "number" } })), unevaluatedItems: false },
    numbers,
  ];
  yield [
    "needs of all",
    { dependentRequired: Object.fromEntries(many((at) => [`key${at}`, many((to) => `key${to}`, 8)] as const)) },
    manyKeys,
  ];
  yield [
    "needed schemas",
    { dependentSchemas: Object.fromEntries(many((at) => [`key${at}`, { minProperties: 9 }] as const)) },
    manyKeys,
  ];
  yield ["more than is read", { items: { type: "number" } }, many((at) => at, CHECK_WORK_MAX)];
  for (const escaped of [
    "\n",
    "\u0001",
    "\\",
    '"',
    `${"a".repeat(28)}"`,
    `${"a".repeat(32)}"`,
    "aaaaaaaaaaaaaaa\n",
    "é\n",
  ]) {
    const bytes = ENCODER.encode(JSON.stringify(escaped)).length - 2;
    const long = escaped.repeat(Math.floor(LONG / bytes));
    yield [`escapes ${JSON.stringify(escaped)}`, { pattern: "^.*a$", maxLength: long.length - 1 }, long];
    yield [`a pattern for escapes ${JSON.stringify(escaped)}`, { pattern: "^[^]*a$" }, long];
  }
  yield ["as many names as are read", {}, most(keys, 0.99)];
  yield [
    "as many names in small objects as are read",
    {},
    most((length) => many((at) => keys(31 + (at % 2)), length / 32), 0.99),
  ];
  yield ["as many lists as are read", {}, most((length) => many(() => [], length), 0.99)];
  yield ["as many texts as are read", {}, most((length) => many((at) => `\n${at}`, length), 0.99)];
  yield ["as many quotes as are read", {}, most((length) => many(() => '"', length), 0.99)];
  yield [
    "different small objects",
    {},
    most((length) => many((at) => ({ [`a${at}`]: 1, [`b${at}`]: 1, [`c${at}`]: 1 }), length), 0.99),
  ];
  yield ["an object in each item", { items: { required: ["a"], properties: { a: { type: "integer" } } } }, objects];
  yield [
    "texts in each item",
    { items: { minLength: 1, pattern: "^[a-z]+$", format: "hostname" } },
    many(() => "abc", 50_000),
  ];
  yield ["twenty problems and more", { items: { type: "string" } }, numbers];
  yield [
    "names that objects have",
    {
      required: ["constructor", "__proto__", "toString"],
      properties: { constructor: false, toString: { format: "constructor" } },
    },
    JSON.parse('{"__proto__":1,"constructor":2,"toString":"x"}'),
  ];
  yield [
    "a prototype as a schema",
    JSON.parse('{"__proto__":{"$ref":"#"},"properties":{"__proto__":{"type":"object"}}}'),
    JSON.parse('{"__proto__":1}'),
  ];
  for (const format of [
    "__proto__",
    "constructor",
    "toString",
    "regex",
    "email",
    "ipv6",
    "uri",
    "uri-reference",
    "date-time",
    "hostname",
    "duration",
    "json-pointer",
  ]) {
    for (const text of [
      as,
      `a:${"/".repeat(LONG)}`,
      "%".repeat(LONG),
      `P${"1".repeat(LONG)}`,
      `/${"~".repeat(LONG)}`,
    ]) {
      yield [`format ${format} of ${text.slice(0, 4)}`, { format }, text];
    }
  }
  const remote = [
    "https://example.com/s",
    "file:///etc/passwd",
    "other.json#/a",
    "//h/x",
    "#/$defs/none",
    "#none",
    "#/%",
    "#/properties",
    "urn:x",
  ];
  for (const $ref of remote) yield [`refers to ${$ref}`, { $ref, $id: "https://me.example/" }, null];
  yield ["an id inside", { properties: { a: { $id: "https://x.example/", $ref: "#" } } }, null];
  yield ["a dynamic reference", { $dynamicRef: "#x", $dynamicAnchor: "x" }, null];
  yield ["a recursive reference", { $recursiveRef: "#" }, null];
  yield ["two of one name", { $defs: { a: { $anchor: "x" }, b: { $anchor: "x" } } }, null];
  for (const $schema of ["http://json-schema.org/draft-04/schema#", "https://evil.example/schema", "", 7])
    yield [`of ${$schema}`, { $schema }, null];
  const wrong = {
    type: "text",
    enum: {},
    required: "a",
    properties: [],
    pattern: 1,
    minLength: -1,
    maxItems: 1.5,
    multipleOf: 0,
    allOf: [],
    anyOf: {},
    not: 1,
    items: [true],
    $defs: [],
    format: 1,
    $ref: 1,
    uniqueItems: 1,
    dependentRequired: { a: 1 },
    minimum: "1",
    $id: 1,
    patternProperties: { "(": true },
  };
  for (const [name, value] of Object.entries(wrong)) yield [`wrong ${name}`, { [name]: value }, null];
  for (const value of [null, 1, "x", []]) yield [`no schema: ${JSON.stringify(value)}`, value, null];
  yield ["too large", { description: "x".repeat(33_000) }, null];
  yield ["too many", { properties: Object.fromEntries(many((at) => [`p${at}`, true] as const, 1_200)) }, null];
  const deep = { properties: Object.fromEntries(many((at) => [`a${at}`, {}] as const, 990)) };
  for (const name of ["~", "x"]) {
    const long = name.repeat(17_000);
    yield [`long names ${name}`, { properties: { [long]: deep } }, { [long]: manyKeys }];
  }
  const refusing = Object.fromEntries(many((at) => [`key${at}`, { not: {} }] as const, 470));
  for (const name of ["~", "x"]) {
    const long = name.repeat(17_000);
    yield [
      `problems with long names ${name}`,
      { properties: { [long]: { properties: refusing } } },
      { [long]: manyKeys },
    ];
  }
  const wide = Object.fromEntries(many((at) => [`m${at}`, 0] as const, 1_900));
  const into = many(() => ({ $ref: "#/x/q" }), 900);
  yield ["references into a wide object", { x: { ...wide, q: {} }, prefixItems: into }, many((at) => at, 900)];
  const classes = many((at) => [`[^\\p{L}\\p{N}${String.fromCodePoint(0x4e00 + at)}]`, {}] as const, 990);
  const property = many((at) => [`[^\\p{L}\\p{N}${String.fromCodePoint(0x4e00 + at)}]+$`, {}] as const, 10);
  yield ["properties of characters", { patternProperties: Object.fromEntries(property) }, manyKeys];
  const properties = ["\\p{Lu}".repeat(80), "\\P{L}".repeat(80), "[^\\p{N}]".repeat(60)];
  for (const pattern of properties) yield [`many of ${pattern.slice(0, 8)}`, { pattern }, null];
  const ranges = many((at) => `[a-z${String.fromCodePoint(0x4e00 + at)}]`, 99);
  yield [
    "a hundred classes",
    { anyOf: many((at) => ({ pattern: ranges.slice(9 * at, 9 * at + 9).join("|") }), 11) },
    emojis,
  ];
  yield ["classes of characters", { patternProperties: Object.fromEntries(classes) }, null];
  // The engine finds texts of digits by their number, whose lower bits are the same here.
  const same = (length: number, from = 0) => many((at) => (at + from) * 65_536, length);
  const named = (length: number, from = 0) => Object.fromEntries(same(length, from).map((at) => [at, at] as const));
  yield ["texts of one place", {}, most((length) => same(length).map(String), 0.99)];
  yield ["near texts", {}, many((at) => String((at % 1_024) + Math.floor(at / 1_024 + 1) * 131_072), 16_000)];
  yield ["as many texts of one place as have been taken", {}, same(15_500).map(String)];
  yield ["unique numbers of one place", { uniqueItems: true }, same(7_500)];
  yield [
    "unevaluated members of one place",
    { anyOf: [{ additionalProperties: true }], unevaluatedProperties: true },
    most(named, 0.4),
  ];
  const known = { properties: Object.fromEntries(Object.keys(named(700)).map((name) => [name, true])) };
  yield ["known members of one place", known, most(named, 0.4)];
  yield ["a known member of many", { items: known }, many(() => named(1), 3_000)];
  yield ["a known value of many", { items: { enum: same(2_000).map(String) } }, many(() => "0", 8_000)];
  const [least = 0, ...alikes] = alike(3_400, 11);
  yield ["a known number of many alike", { items: { enum: [least, ...alikes] } }, many(() => least, 11_000)];
  for (const char of ["é", "漢"]) {
    yield [
      `a pattern for ${char}`,
      { pattern: "^[^a]*$" },
      char.repeat(Math.floor(LONG / ENCODER.encode(char).length)),
    ];
  }
  const signs = String.fromCodePoint(...alike(1_000, 9, 0x10000));
  yield ["characters that are alike", { pattern: "^[^a]*$" }, signs.repeat(25)];
  yield ["too many references", { allOf: many(() => ({ $ref: "#/$defs/a" }), 300), $defs: { a: {} } }, null];
}

export const HOSTILE: readonly Hostile[] = [...families()];
