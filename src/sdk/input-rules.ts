// RunPod's table of rules for an input, which its Python workers give to `rp_validator.validate`.
import { type Fields, fieldsOf } from "../core/json/value.ts";

/** The types of Python by their own names, and the words of JavaScript for them. */
const TYPES = {
  str: "string",
  string: "string",
  int: "integer",
  integer: "integer",
  float: "number",
  number: "number",
  bool: "boolean",
  boolean: "boolean",
  list: "array",
  array: "array",
  dict: "object",
  object: "object",
} as const;

export type RuleType = keyof typeof TYPES;

/** One field. Without `required` it must be there; an optional one needs a `default`. */
export interface InputRule {
  readonly type: RuleType | readonly RuleType[];
  readonly required?: boolean;
  readonly default?: unknown;
  /** Is asked when the type is right. */
  // biome-ignore lint/suspicious/noExplicitAny: a rule of a table has no type parameter of its own, and its author knows the field's.
  readonly constraints?: (value: any) => boolean;
}

export type InputRules = Readonly<Record<string, InputRule>>;

export interface InputProblem {
  /** The field, such as `input.steps`. */
  readonly path: string;
  readonly message: string;
}

export type CheckedInput =
  | { readonly ok: true; readonly input: unknown }
  | { readonly ok: false; readonly problems: readonly InputProblem[] };

/** Checks an input as RunPod's validator does; all that is wrong comes back at once. */
export function checkByRules(rules: InputRules, input: unknown): CheckedInput {
  const given = fieldsOf(input);
  if (given === null) return { ok: false, problems: [{ path: "input", message: "must be an object" }] };
  const unknown = Object.keys(given).filter((name) => !Object.hasOwn(rules, name));
  const problems: InputProblem[] = unknown.map((name) => ({ path: `input.${name}`, message: "is not a valid input" }));
  const checked: Record<string, unknown> = {};
  for (const [name, rule] of Object.entries(rules)) {
    const problem = checkField(name, rule, given, checked);
    if (problem !== null) problems.push({ path: `input.${name}`, message: problem });
  }
  return problems.length === 0 ? { ok: true, input: checked } : { ok: false, problems };
}

function checkField(name: string, rule: InputRule, given: Fields, checked: Record<string, unknown>): string | null {
  if (!Object.hasOwn(given, name)) {
    if (rule.required !== false) return "is required";
    // A copy: what one job's handler does to it is not for the next job.
    checked[name] = structuredClone(rule.default ?? null);
    return null;
  }
  const value = given[name];
  const types = typesOf(rule);
  if (!types.some((type) => isOfType(value, type))) return `must be ${types.map(shownType).join(" or ")}`;
  if (rule.constraints !== undefined && !rule.constraints(value)) return "does not meet the constraints";
  checked[name] = value;
  return null;
}

/** The table as a JSON Schema, for the endpoint. Constraints are functions, which no schema has: they are checked by the worker alone. */
export function schemaOfRules(rules: InputRules): Fields {
  const properties = Object.entries(rules).map(([name, rule]) => {
    const types = typesOf(rule);
    const type = types.length === 1 ? types[0] : types;
    return [name, { type, ...(rule.default !== undefined && { default: rule.default }) }];
  });
  const required = Object.entries(rules).flatMap(([name, rule]) => (rule.required === false ? [] : [name]));
  return { type: "object", properties: Object.fromEntries(properties), required, additionalProperties: false };
}

/** Throws one sentence about a rule that is none: it is a fault of the worker, found before it takes a job. */
export function assertRules(rules: InputRules): void {
  for (const [name, rule] of Object.entries(rules)) {
    const types = [rule.type].flat();
    const odd = types.find((type) => !Object.hasOwn(TYPES, type));
    if (types.length === 0 || odd !== undefined) {
      throw new Error(`the rule of input.${name} needs a type: one of ${Object.keys(TYPES).join(", ")}`);
    }
    if (rule.required === false && rule.default === undefined) {
      throw new Error(`the rule of input.${name} needs a default, as it is not required`);
    }
  }
}

function typesOf(rule: InputRule) {
  return [rule.type].flat().map((type) => TYPES[type]);
}

function isOfType(value: unknown, type: (typeof TYPES)[RuleType]): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return fieldsOf(value) !== null;
    default:
      return typeof value === type;
  }
}

function shownType(type: string): string {
  return /^[aio]/.test(type) ? `an ${type}` : `a ${type}`;
}
