// Checks an input against a schema: its verdict, and what is wrong. All work is counted on its way and ends at a bound, whatever schema
// and input are: a schema's author and the sender of an input may be two strangers.
import { CHECK_DEPTH_MAX, CHECK_WORK_MAX, PROBLEMS_MAX } from "./limits.ts";
import {
  type ArrayRules,
  canonical,
  isList,
  type Json,
  keyOf,
  keyOfPlain,
  type ObjectRules,
  type ReadSchema,
  type SchemaNode,
  type Values,
} from "./nodes.ts";
import { atName, type Path, placeText, shorten } from "./path.ts";
import { Matcher } from "./pattern.ts";
import type { Machine } from "./pattern-parser.ts";
import { formProblem, type Message, type Problem, Problems, rangeProblem, typesText, valuesText } from "./problems.ts";
import { workOfReading } from "./reading.ts";
import { Seen } from "./seen.ts";

export type Verdict =
  | { readonly kind: "valid" }
  | { readonly kind: "invalid"; readonly problems: readonly Problem[] }
  /** It was given up: it would have taken more than a check may. */
  | { readonly kind: "too_much" };

class TooMuch extends Error {}

const LARGE_FROM_NAMES = 100;

type Member = { readonly [name: string]: Json };

/** Work for the tables of an expression in this check. */
const MATCHER_UNITS = 60;

/** Work for the text of a number. */
const NUMBER_KEY_UNITS = 1;

/** Work for one value by one subschema. */
const VISIT_UNITS = 2.4;
/** Work for keeping what is wrong with a value, and where: each of a hundred forms of `anyOf` may do so for twenty items. */
const REFUSED_UNITS = 3;

/** Work for an object, for a member of it, for one of several forms with its list of problems, and for an item that is kept to be compared. */
const OBJECT_UNITS = 2.5;
const MEMBER_UNITS = 1.5;
const FORM_UNITS = 1.5;
const KEPT_UNITS = 2;

/** The name that pointers begin with. */
const ROOT = "input";

const DECODER = new TextDecoder();

/** Checks the bytes of an input, which are valid JSON and are parsed for this alone. */
export function checkBytes(schema: ReadSchema, bytes: Uint8Array): Verdict {
  const work = schema.work + workOfReading(bytes, CHECK_WORK_MAX);
  if (work > CHECK_WORK_MAX) return { kind: "too_much" };
  return checkValue(schema.root, JSON.parse(DECODER.decode(bytes)), work);
}

/** Checks a value that JSON.parse has made. `work`: what has been done for it before. */
export function checkValue(schema: SchemaNode, value: Json, work = 0): Verdict {
  const problems = new Problems();
  try {
    const isValid = new Check(work).visit(schema, value, { up: null, name: ROOT }, problems, null);
    return isValid ? { kind: "valid" } : { kind: "invalid", problems: problems.shown() };
  } catch (error) {
    if (error instanceof TooMuch) return { kind: "too_much" };
    throw error;
  }
}

class Check {
  #work: number;
  #depth = 0;
  readonly #names = new Map<Member, readonly string[]>();
  readonly #matchers = new Map<Machine, Matcher>();
  readonly #spend = (units: number): void => {
    this.#work += units;
    if (this.#work > CHECK_WORK_MAX) throw new TooMuch();
  };

  constructor(work: number) {
    this.#work = work;
  }

  /** Without `problems` only the verdict is asked for, and the first problem ends it. */
  visit(node: SchemaNode, value: Json, path: Path, problems: Problems | null, above: Seen | null): boolean {
    this.#spend(VISIT_UNITS);
    this.#depth += 1;
    if (this.#depth > CHECK_DEPTH_MAX) throw new TooMuch();
    const { needsSeen } = node;
    const seen = needsSeen ? new Seen() : above;
    const isValid =
      this.#own(node, value, path, problems) && (node.isLeaf || this.#inside(node, value, path, problems, seen));
    if (!isValid && problems !== null) this.#spend(REFUSED_UNITS);
    if (needsSeen && above !== null && seen !== null) this.#spend(above.add(seen));
    this.#depth -= 1;
    return isValid;
  }

  /** The rules about the value itself. Behind a wrong type nothing else is worth a word. */
  #own(node: SchemaNode, value: Json, path: Path, problems: Problems | null): boolean {
    if (node.never) return refuse(problems, path, "is not allowed");
    const { types, values } = node;
    if (types !== null && !hasType(value, types)) {
      return refuse(problems, path, () => `must be ${typesText(types)}`, "form");
    }
    if (values !== null && !this.#isAmong(values, value)) {
      return refuse(problems, path, () => `must be ${valuesText(values)}`, "form");
    }
    if (typeof value === "number") {
      const problem = node.numbers === null ? null : rangeProblem(node.numbers, value);
      return problem === null || refuse(problems, path, problem);
    }
    if (typeof value !== "string" || node.strings === null) return true;
    const { pattern } = node.strings;
    const problem = formProblem(node.strings, value, this.#spend);
    if (problem !== null) return refuse(problems, path, problem);
    if (pattern === null || this.#matches(pattern, value)) return true;
    return refuse(problems, path, `must match the pattern ${pattern.source}`);
  }

  /** The rules that are schemas of their own, for this value and for what is in it. */
  #inside(node: SchemaNode, value: Json, path: Path, problems: Problems | null, seen: Seen | null): boolean {
    let isValid = true;
    for (const each of node.all) {
      isValid = this.visit(each, value, path, problems, seen) && isValid;
      if (!isValid && isEnough(problems)) return false;
    }
    if (node.any !== null) isValid = this.#some(node, node.any, false, value, path, problems, seen) && isValid;
    if (!isValid && isEnough(problems)) return false;
    if (node.one !== null) isValid = this.#some(node, node.one, true, value, path, problems, seen) && isValid;
    if (!isValid && isEnough(problems)) return false;
    const { not } = node;
    if (not !== null && this.visit(not, value, path, null, null)) {
      isValid = refuse(problems, path, () => `must not match ${placeText(not.place)}`);
    }
    if (!isValid && isEnough(problems)) return false;
    if (node.condition !== null) {
      const { when, met, unmet } = node.condition;
      const spoken = seen === null ? null : new Seen();
      const isMet = this.visit(when, value, path, null, spoken);
      if (isMet && seen !== null && spoken !== null) this.#spend(seen.add(spoken));
      const next = isMet ? met : unmet;
      if (next !== null) isValid = this.visit(next, value, path, problems, seen) && isValid;
    }
    if ((!isValid && isEnough(problems)) || typeof value !== "object" || value === null) return isValid;
    if (isList(value)) {
      return node.arrays === null ? isValid : this.#items(node.arrays, value, path, problems, seen) && isValid;
    }
    return node.objects === null ? isValid : this.#members(node.objects, value, path, problems, seen) && isValid;
  }

  /** `anyOf` and `oneOf`. What is wrong with the one form that was meant is told, if it can be told which one that was. */
  #some(
    node: SchemaNode,
    forms: readonly SchemaNode[],
    onlyOne: boolean,
    value: Json,
    path: Path,
    problems: Problems | null,
    seen: Seen | null,
  ): boolean {
    const failed: Problems[] = [];
    let matches = 0;
    for (const form of forms) {
      this.#spend(FORM_UNITS);
      const its = problems === null ? null : new Problems();
      const spoken = seen === null ? null : new Seen();
      if (this.visit(form, value, path, its, spoken)) {
        matches += 1;
        if (seen !== null && spoken !== null) this.#spend(seen.add(spoken));
        if (onlyOne ? matches > 1 && problems === null : seen === null) break;
      } else if (its !== null) failed.push(its);
    }
    if (matches === 1 || (matches > 1 && !onlyOne)) return true;
    if (problems === null) return false;
    const place = () => placeText(atName(node.place, onlyOne ? "oneOf" : "anyOf"));
    if (matches > 1) {
      return refuse(problems, path, () => `must match exactly one of ${place()}, and matches ${matches} of them`);
    }
    const together = () => `must match ${onlyOne ? "exactly" : "at least"} one of ${place()}`;
    problems.addNearest(failed, path, forms, together);
    return false;
  }

  #members(rules: ObjectRules, value: Member, path: Path, problems: Problems | null, seen: Seen | null): boolean {
    const names = this.#namesOf(value);
    this.#spend(OBJECT_UNITS + rules.required.length / 2);
    let isValid = true;
    for (const name of rules.required) {
      if (!Object.hasOwn(value, name)) isValid = refuse(problems, atName(path, name), "is required");
      if (!isValid && isEnough(problems)) return false;
    }
    if (names.length < rules.minProperties)
      isValid = refuse(problems, path, `must have at least ${rules.minProperties} properties`);
    if (names.length > rules.maxProperties)
      isValid = refuse(problems, path, `may have at most ${rules.maxProperties} properties`);
    for (const { name, needs } of rules.dependentRequired) {
      this.#spend(1 + needs.length / 2);
      const missing = Object.hasOwn(value, name) ? needs.find((need) => !Object.hasOwn(value, need)) : undefined;
      if (missing !== undefined)
        isValid = refuse(problems, atName(path, missing), `is required beside ${shorten(name)}`);
    }
    for (const { name, node } of rules.dependentSchemas) {
      this.#spend(1);
      if (Object.hasOwn(value, name)) isValid = this.visit(node, value, path, problems, seen) && isValid;
      if (!isValid && isEnough(problems)) return false;
    }
    const isPlain = rules.properties.size === 0 && rules.patterns.length === 0;
    if (isPlain && rules.additional === null && rules.names === null && rules.unevaluated === null) return isValid;
    for (const name of names) {
      isValid = this.#member(rules, name, value[name] ?? null, path, problems, seen) && isValid;
      if (!isValid && isEnough(problems)) return false;
    }
    return isValid;
  }

  #member(
    rules: ObjectRules,
    name: string,
    value: Json,
    path: Path,
    problems: Problems | null,
    seen: Seen | null,
  ): boolean {
    this.#spend(MEMBER_UNITS);
    const { properties, patterns, additional, names, unevaluated } = rules;
    const its = atName(path, name);
    let isValid = true;
    if (names !== null && !this.visit(names, name, its, null, null))
      isValid = refuse(problems, its, "has a name that is not allowed");
    const key = keyOf(name);
    const known = properties.get(key);
    if (known !== undefined) isValid = this.visit(known, value, its, problems, null) && isValid;
    let isKnown = known !== undefined;
    for (const { machine, node } of patterns) {
      if (!this.#matches(machine, name)) continue;
      isKnown = true;
      isValid = this.visit(node, value, its, problems, null) && isValid;
    }
    const rest = isKnown ? null : (additional ?? (seen?.hasName(key) === true ? null : unevaluated));
    if (seen !== null && (isKnown || rest !== null)) {
      this.#spend(KEPT_UNITS);
      seen.names.add(key);
    }
    if (rest === null) return isValid;
    if (rest.never) return refuse(problems, its, "is no property that is known here");
    return this.visit(rest, value, its, problems, null) && isValid;
  }

  #items(rules: ArrayRules, list: readonly Json[], path: Path, problems: Problems | null, seen: Seen | null): boolean {
    const { minItems, maxItems, prefix, items, contains, unevaluated } = rules;
    let isValid = true;
    if (list.length < minItems) isValid = refuse(problems, path, `must have at least ${minItems} items`);
    if (list.length > maxItems) isValid = refuse(problems, path, `may have at most ${maxItems} items`);
    if (!isValid && isEnough(problems)) return false;
    if (rules.unique && !this.#isUnique(list)) isValid = refuse(problems, path, "must have no two equal items");
    if (contains !== null) isValid = this.#contains(contains, list, path, problems, seen) && isValid;
    const end = items === null && unevaluated === null ? Math.min(prefix.length, list.length) : list.length;
    for (let index = 0; index < end; index += 1) {
      if (!isValid && isEnough(problems)) return false;
      const rest = items ?? (seen?.hasItem(index) === true ? null : unevaluated);
      const node = prefix[index] ?? rest;
      if (node !== null)
        isValid = this.visit(node, list[index] ?? null, atName(path, index), problems, null) && isValid;
    }
    if (seen !== null) seen.itemsBefore = Math.max(seen.itemsBefore, end);
    return isValid;
  }

  /** The engine takes 200 ns for each name of a large object, so that those are asked for once. */
  #namesOf(value: Member): readonly string[] {
    const known = this.#names.get(value);
    if (known !== undefined) return known;
    const names = Object.keys(value);
    this.#spend(names.length * (names.length < LARGE_FROM_NAMES ? 1 : 5));
    if (names.length >= LARGE_FROM_NAMES) this.#names.set(value, names);
    return names;
  }

  #contains(
    { node, min, max }: NonNullable<ArrayRules["contains"]>,
    list: readonly Json[],
    path: Path,
    problems: Problems | null,
    seen: Seen | null,
  ): boolean {
    let found = 0;
    for (let index = 0; index < list.length; index += 1) {
      if (!this.visit(node, list[index] ?? null, path, null, null)) continue;
      found += 1;
      if (seen !== null) this.#spend(KEPT_UNITS);
      seen?.items.add(index);
    }
    if (found < min)
      return refuse(problems, path, () => `must have at least ${min} items that match ${placeText(node.place)}`);
    return (
      found <= max || refuse(problems, path, () => `may have at most ${max} items that match ${placeText(node.place)}`)
    );
  }

  #isUnique(list: readonly Json[]): boolean {
    const met = new Set<string>();
    this.#spend(KEPT_UNITS * list.length);
    for (const item of list) met.add(keyOf(canonical(item, this.#spend)));
    return met.size === list.length;
  }

  #isAmong({ plain, composed }: Values, value: Json): boolean {
    if (typeof value === "number") this.#spend(NUMBER_KEY_UNITS);
    if (typeof value !== "object" || value === null) return plain.has(keyOfPlain(value));
    return composed?.has(canonical(value, this.#spend)) ?? false;
  }

  #matches(machine: Machine, text: string): boolean {
    let matcher = this.#matchers.get(machine);
    if (matcher === undefined) {
      this.#spend(MATCHER_UNITS);
      matcher = new Matcher(machine, this.#spend);
      this.#matchers.set(machine, matcher);
    }
    return matcher.test(text);
  }
}

/** May a check stop at its first problem, or does it have as many as are told? */
function isEnough(problems: Problems | null): boolean {
  return problems === null || problems.length >= PROBLEMS_MAX;
}

function refuse(problems: Problems | null, path: Path, message: Message, about: "form" | "other" = "other"): false {
  problems?.add(path, message, about);
  return false;
}

function hasType(value: Json, types: NonNullable<SchemaNode["types"]>): boolean {
  if (value === null) return types.includes("null");
  if (typeof value === "number") return types.includes("number") || (types.includes("integer") && isWhole(value));
  if (typeof value === "object") return types.includes(isList(value) ? "array" : "object");
  return types.includes(typeof value === "string" ? "string" : "boolean");
}

/** A number beyond those of JavaScript, which JSON may have, is a whole one. */
function isWhole(value: number): boolean {
  return Number.isInteger(value) || !Number.isFinite(value);
}
