// Reads a regular expression into a machine of states that linear-time matching can run (pattern.ts). What cannot be matched in
// linear time is refused: backreferences and lookaround. Repetitions may be nested as one likes, because nothing backtracks.
import { PATTERN_DEPTH_MAX, PATTERN_MAX_CHARS } from "./limits.ts";

/** `^`, `$`, `\b` or `\B`. */
type Place = "start" | "end" | "edge" | "inside";

/** What a machine does in one of its states, each of which has a number. */
export type State =
  | { readonly kind: "char"; readonly test: number; next: number }
  | { readonly kind: "either"; next: number; readonly other: number }
  | { readonly kind: "place"; readonly place: Place; next: number }
  | { readonly kind: "found" };

export interface Machine {
  readonly source: string;
  readonly states: readonly State[];
  readonly first: number;
  /** It can begin at the start of a text alone. */
  readonly isAnchored: boolean;
  readonly tests: readonly CharTest[];
}

/** A character that stands for itself, or one with a backslash before it: with the flag `u` only those of the syntax may have one. */
const LITERAL = /^(?:[^.\\[]|\\[^\w\s])$/u;

/** Tells of one character whether it is what a part of an expression stands for: for classes this is left to the engine. */
class CharTest {
  readonly #atom: string;
  readonly #literal: string | null;
  #made: RegExp | null = null;

  constructor(atom: string) {
    this.#atom = atom;
    this.#literal = LITERAL.test(atom) ? atom.replace(/^\\/, "") : null;
  }

  has(char: string): boolean {
    if (this.#literal !== null) return char === this.#literal;
    this.#made ??= new RegExp(`^(?:${this.#atom})$`, "u");
    return this.#made.test(char);
  }
}

/** What the expressions of one schema may have together. */
export interface PatternRoom {
  readonly states: number;
  /** Different classes of characters, such as `[a-z]`: the engine takes its time for the first use of each. */
  readonly classes: number;
  /** Properties of characters, such as `\p{L}`, each as often as it stands there. */
  readonly properties: number;
}

/** Why an expression is refused, as the end of a sentence about it. */
export class PatternRefused extends Error {}

type Tree =
  | { readonly kind: "char"; readonly test: number }
  | { readonly kind: "place"; readonly place: Place }
  | { readonly kind: "all"; readonly parts: readonly Tree[] }
  | { readonly kind: "any"; readonly parts: readonly Tree[] }
  | { readonly kind: "repeat"; readonly part: Tree; readonly min: number; readonly max: number };

/** Reads the expressions of one schema. */
export class PatternReader {
  readonly #room: PatternRoom;
  readonly #tests = new Map<string, CharTest>();
  readonly #classes = new Set<string>();
  #states = 0;
  #properties = 0;

  constructor(room: PatternRoom) {
    this.#room = room;
  }

  /** Different classes so far. */
  get classes(): number {
    return this.#classes.size;
  }

  /** Makes the machine of an expression in JavaScript's syntax with the flag `u`. */
  read(source: string): Machine {
    const { states: statesMax, classes: classesMax, properties: propertiesMax } = this.#room;
    if (source.length > PATTERN_MAX_CHARS) throw new PatternRefused(`may have at most ${PATTERN_MAX_CHARS} characters`);
    // Before the engine reads them: it looks up the characters of each one.
    this.#properties += source.split(PROPERTY).length - 1;
    if (this.#properties > propertiesMax)
      throw new PatternRefused(
        `is beyond the ${propertiesMax} properties of characters, such as \\p{L}, that a schema may have`,
      );
    try {
      // The engine's own reading is the judge of the syntax; it only runs an expression once it is used.
      new RegExp(source, "u");
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/^.*\/u: /s, "") : String(error);
      throw new PatternRefused(`is no regular expression in Unicode mode: ${reason}`);
    }
    const parser = new Parser(source, (atom) => this.#testOf(atom));
    const tree = parser.read();
    const builder = new Builder(statesMax - this.#states);
    const first = builder.add(tree, builder.push({ kind: "found" }));
    const { states } = builder;
    this.#states += states.length;
    if (this.#classes.size > classesMax)
      throw new PatternRefused(`is beyond the ${classesMax} different classes of characters that a schema may have`);
    return { source, states, first, isAnchored: isAnchored(states, first), tests: parser.tests };
  }

  #testOf(atom: string): CharTest {
    const known = this.#tests.get(atom);
    if (known !== undefined) return known;
    const test = new CharTest(atom);
    this.#tests.set(atom, test);
    if (CLASS.test(atom)) this.#classes.add(atom);
    return test;
  }
}

const PROPERTY = /\\p\{/i;
const CLASS = /^(?:\[|\\p)/i;

/** Is there no way from the first state to a character, or to the end, but by the start of the text? */
function isAnchored(states: readonly State[], first: number): boolean {
  const left = [first];
  const seen = new Set<number>();
  for (let number = left.pop(); number !== undefined; number = left.pop()) {
    const state = states[number];
    if (seen.has(number) || state === undefined) continue;
    seen.add(number);
    if (state.kind === "char" || state.kind === "found") return false;
    if (state.kind === "either") left.push(state.next, state.other);
    else if (state.place !== "start") left.push(state.next);
  }
  return true;
}

/** One character as it may be written: an escape, a class in brackets, a dot, or itself. */
const ATOM =
  /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|u\{[\da-fA-F]+\}|u[\da-fA-F]{4}|x[\da-fA-F]{2}|c[A-Za-z]|[pP]\{[^}]*\}|.)|\[(?:\\.|[^\]\\])*\]|./suy;
const COUNT = /(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/uy;
const GROUP_NAME = /<[^>]*>/uy;

/** Reads text whose syntax has been checked. */
class Parser {
  readonly tests: CharTest[] = [];
  readonly #source: string;
  readonly #makeTest: (atom: string) => CharTest;
  readonly #known = new Map<string, number>();
  #at = 0;

  constructor(source: string, makeTest: (atom: string) => CharTest) {
    this.#source = source;
    this.#makeTest = makeTest;
  }

  read(): Tree {
    return this.#any(0);
  }

  #any(depth: number): Tree {
    if (depth > PATTERN_DEPTH_MAX) throw new PatternRefused("has too many groups in one another");
    const parts = [this.#all(depth)];
    while (this.#takes("|")) parts.push(this.#all(depth));
    return { kind: "any", parts };
  }

  #all(depth: number): Tree {
    const parts: Tree[] = [];
    while (this.#at < this.#source.length && !"|)".includes(this.#source.charAt(this.#at))) {
      parts.push(this.#counted(this.#one(depth)));
    }
    return { kind: "all", parts };
  }

  #one(depth: number): Tree {
    if (this.#takes("^")) return { kind: "place", place: "start" };
    if (this.#takes("$")) return { kind: "place", place: "end" };
    if (this.#takes("\\b")) return { kind: "place", place: "edge" };
    if (this.#takes("\\B")) return { kind: "place", place: "inside" };
    if (this.#takes("(")) return this.#group(depth);
    const atom = this.#match(ATOM)?.[0] ?? "";
    if (/^\\[1-9k]/.test(atom)) throw new PatternRefused("may have no backreferences");
    return { kind: "char", test: this.#testOf(atom) };
  }

  #group(depth: number): Tree {
    if (this.#takes("?") && !this.#takes(":")) {
      if (/^(?:<?[=!])/.test(this.#source.slice(this.#at, this.#at + 2))) {
        throw new PatternRefused(
          'may not look ahead or behind; "not" with a "pattern" of its own says that it must not match',
        );
      }
      if (this.#match(GROUP_NAME) === null) throw new PatternRefused("may have no flags inside");
    }
    const inner = this.#any(depth + 1);
    this.#takes(")");
    return inner;
  }

  #counted(part: Tree): Tree {
    const count = this.#match(COUNT);
    if (count === null) return part;
    const [text, least = "", comma = "", most = ""] = count;
    if (text.startsWith("*")) return { kind: "repeat", part, min: 0, max: Infinity };
    if (text.startsWith("+")) return { kind: "repeat", part, min: 1, max: Infinity };
    if (text.startsWith("?")) return { kind: "repeat", part, min: 0, max: 1 };
    const max = comma === "" ? Number(least) : most === "" ? Infinity : Number(most);
    return { kind: "repeat", part, min: Number(least), max };
  }

  #testOf(atom: string): number {
    const known = this.#known.get(atom);
    if (known !== undefined) return known;
    const number = this.tests.push(this.#makeTest(atom)) - 1;
    this.#known.set(atom, number);
    return number;
  }

  #takes(text: string): boolean {
    const is = this.#source.startsWith(text, this.#at);
    if (is) this.#at += text.length;
    return is;
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }
}

/** Makes states from the end to the beginning: each part is told which state follows it. */
class Builder {
  readonly states: State[] = [];
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  push(state: State): number {
    if (this.states.length >= this.#max) throw new PatternRefused("repeats too much: it has too many states");
    return this.states.push(state) - 1;
  }

  /** The first state of a part. */
  add(tree: Tree, next: number): number {
    switch (tree.kind) {
      case "char":
        return this.push({ kind: "char", test: tree.test, next });
      case "place":
        return this.push({ kind: "place", place: tree.place, next });
      case "all":
        return tree.parts.reduceRight((behind, part) => this.add(part, behind), next);
      case "any":
        return this.#addAny(tree.parts, next);
      case "repeat":
        return this.#addRepeat(tree.part, tree.min, tree.max, next);
    }
  }

  #addAny(parts: readonly Tree[], next: number): number {
    const [last, ...others] = parts.map((part) => this.add(part, next)).reverse();
    return others.reduce((other, first) => this.push({ kind: "either", next: first, other }), last ?? next);
  }

  #addRepeat(part: Tree, min: number, max: number, next: number): number {
    let first = next;
    if (max === Infinity) {
      const loop: State = { kind: "either", next, other: next };
      first = this.push(loop);
      loop.next = this.add(part, first);
    } else {
      for (let times = min; times < max; times += 1) {
        first = this.push({ kind: "either", next: this.add(part, first), other: next });
      }
    }
    for (let times = 0; times < min; times += 1) {
      const before = first;
      first = this.add(part, first);
      // A part without a state, such as an empty group, can be repeated a billion times.
      if (first === before) break;
    }
    return first;
  }
}
