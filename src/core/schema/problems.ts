// What is wrong with an input, in words: where, and what was expected. The input itself is not repeated, but for names of its members.

import { PROBLEMS_MAX, SHOWN_MAX_CHARS } from "./limits.ts";
import type { NumberRules, SchemaNode, StringRules, TypeName, Values } from "./nodes.ts";
import { type Path, pointerOf, shorten } from "./path.ts";
import type { Spend } from "./pattern.ts";

/** `pointer`: as `input/images/0/url`, which names the input and what is in it as a JSON pointer does. */
export interface Problem {
  readonly pointer: string;
  readonly message: string;
}

/** A text, or what makes it: of many problems nothing is told. */
export type Message = string | (() => string);

interface Noted {
  readonly path: Path;
  readonly message: Message;
  /** `form`: the value is of another type or is another word than is meant, so that another form may be meant. */
  readonly about: "form" | "other";
}

export class Problems {
  readonly #noted: Noted[] = [];

  get length(): number {
    return this.#noted.length;
  }

  add(path: Path, message: Message, about: Noted["about"]): void {
    if (this.#noted.length < PROBLEMS_MAX) this.#noted.push({ path, message, about });
  }

  /**
   * Adds what is wrong with the one form of several that was meant. A form is not meant if the value has another type than its, or a
   * member is another word than it has there, such as `"kind": "image"`. If that leaves none or several, they are named together.
   */
  addNearest(failed: readonly Problems[], path: Path, forms: readonly SchemaNode[], together: Message): void {
    const meant = failed.filter((each) => !each.#isOfOtherForm(path));
    const [only] = meant;
    if (only !== undefined && meant.length === 1) {
      for (const { path: its, message, about } of only.#noted) this.add(its, message, about);
      return;
    }
    const types = forms.map(({ types: its }) => its);
    const isOfTypes = failed.every((each) => each.#noted[0]?.path === path && each.#noted[0].about === "form");
    const named = types.filter((its) => its !== null).flat();
    if (isOfTypes && named.length > 0 && !types.includes(null) && forms.every(({ values }) => values === null)) {
      this.add(path, `must be ${typesText([...new Set(named)])}`, "form");
    } else this.add(path, together, isOfTypes ? "form" : "other");
  }

  #isOfOtherForm(path: Path): boolean {
    return this.#noted.some(({ path: its, about }) => about === "form" && (its === path || its.up === path));
  }

  shown(): Problem[] {
    return this.#noted.map(({ path, message }) => ({
      pointer: pointerOf(path),
      message: typeof message === "string" ? message : message(),
    }));
  }
}

const WORDS: Readonly<Record<TypeName, string>> = {
  null: "null",
  boolean: "true or false",
  object: "an object",
  array: "a list",
  number: "a number",
  string: "a string",
  integer: "a whole number",
};

export function typesText(types: readonly TypeName[]): string {
  return types.map((type) => WORDS[type]).join(" or ");
}

/** The values of `enum` or `const`, as many as are shown. */
export function valuesText({ allowed }: Values): string {
  const texts: string[] = [];
  for (let at = 0, chars = 0; at < allowed.length && chars <= SHOWN_MAX_CHARS; at += 1) {
    const text = JSON.stringify(allowed[at]);
    chars += text.length + 2;
    texts.push(text);
  }
  return `${allowed.length === 1 ? "" : "one of "}${shorten(texts.join(", "))}`;
}

export function rangeProblem(rules: NumberRules, value: number): string | null {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = rules;
  if (minimum !== null && value < minimum) return `must be at least ${minimum}`;
  if (maximum !== null && value > maximum) return `must be at most ${maximum}`;
  if (exclusiveMinimum !== null && value <= exclusiveMinimum) return `must be more than ${exclusiveMinimum}`;
  if (exclusiveMaximum !== null && value >= exclusiveMaximum) return `must be less than ${exclusiveMaximum}`;
  if (multipleOf !== null && !isMultiple(value, multipleOf)) return `must be a multiple of ${multipleOf}`;
  return null;
}

/** 0.3 is three times 0.1, though its quotient in doubles is not 3: the last bit of it may be wrong. Of whole numbers the rest is exact. */
function isMultiple(value: number, of: number): boolean {
  if (Number.isInteger(value) && Number.isInteger(of)) return value % of === 0;
  const times = value / of;
  return Math.abs(times - Math.round(times)) <= Math.abs(times) * 2 * Number.EPSILON;
}

/** Characters that one unit of work counts, or looks at for a format. */
const CHARS_A_UNIT = 28;

/** Length and format of a text. Lengths are in characters, of which some take two units of UTF-16. */
export function formProblem({ minLength, maxLength, format }: StringRules, text: string, spend: Spend): string | null {
  if (text.length < minLength || (text.length < 2 * minLength && charsOf(text, spend) < minLength)) {
    return `must have at least ${minLength} characters`;
  }
  if (text.length > maxLength && (text.length > 2 * maxLength || charsOf(text, spend) > maxLength)) {
    return `may have at most ${maxLength} characters`;
  }
  if (format === null) return null;
  spend(text.length / CHARS_A_UNIT);
  return format.has(text) ? null : `must be of the format ${format.name}`;
}

function charsOf(text: string, spend: Spend): number {
  spend(text.length / CHARS_A_UNIT);
  let chars = text.length;
  for (let at = 0; at < text.length - 1; at += 1) {
    if (!isHalf(text, at, 0xd800) || !isHalf(text, at + 1, 0xdc00)) continue;
    chars -= 1;
    // The second half begins nothing: to look at it again took a third of the time of a text of such characters.
    at += 1;
  }
  return chars;
}

/** Is this unit of UTF-16 the first (0xd800) or the second (0xdc00) half of a character? */
function isHalf(text: string, at: number, half: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === half;
}
