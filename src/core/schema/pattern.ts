// Runs the machine of a regular expression over a text: all of its states at once, one character after the other, so that the work
// grows with the length of the text alone. Sets of states that were met are remembered, so that most characters cost one look-up.
import type { Machine } from "./pattern-parser.ts";

/** Takes the work that is done; it throws where it is too much. */
export type Spend = (units: number) => void;

/** What stands before a place in the text: nothing, or a character that is or is none of a word. */
type Before = "nothing" | "word" | "other";

/** What comes next in the text: which tests hold of it. */
interface Sort {
  readonly number: number;
  readonly isWord: boolean;
  readonly holds: readonly boolean[];
}

/** The states in which a machine may be at a place. */
interface Here {
  readonly states: readonly number[];
  readonly before: Before;
  /** By the number of the next character's sort; null: the expression is found. */
  readonly following: (Here | null)[];
}

/** Characters that one look-up each costs, in a unit of work. */
const CHARS_A_UNIT = 4;
const WORD = /^\w$/;

/** Matches one expression, in one check: what it remembers is bounded by the work of that check. */
export class Matcher {
  readonly #machine: Machine;
  readonly #spend: Spend;
  readonly #heres = new Map<string, Here>();
  readonly #sorts = new Map<string, Sort>();
  readonly #sortOf = new Map<number, Sort>();

  constructor(machine: Machine, spend: Spend) {
    this.#machine = machine;
    this.#spend = spend;
  }

  /** As `new RegExp(source, "u").test(text)`. */
  test(text: string): boolean {
    this.#spend(1 + text.length / CHARS_A_UNIT);
    let here: Here | null = this.#hereOf([], "nothing");
    for (let at = 0; at < text.length; ) {
      const code = text.codePointAt(at) ?? 0;
      at += code > 0xffff ? 2 : 1;
      const sort = this.#sortOf.get(code) ?? this.#learn(code);
      const known: Here | null | undefined = here.following[sort.number];
      here = known === undefined ? this.#step(here, sort) : known;
      if (here === null) return true;
    }
    return this.#close(here, null).isFound;
  }

  #learn(code: number): Sort {
    const { tests } = this.#machine;
    this.#spend(1 + tests.length);
    const char = String.fromCodePoint(code);
    const isWord = WORD.test(char);
    const holds = tests.map((test) => test.test(char));
    const key = `${isWord} ${holds.join()}`;
    const sort = this.#sorts.get(key) ?? { number: this.#sorts.size, isWord, holds };
    this.#sorts.set(key, sort);
    this.#sortOf.set(code, sort);
    return sort;
  }

  #step(here: Here, sort: Sort): Here | null {
    const { isFound, chars } = this.#close(here, sort);
    const { states } = this.#machine;
    const reached = new Set<number>();
    for (const state of chars) {
      const one = states[state];
      if (one?.kind === "char" && sort.holds[one.test] === true) reached.add(one.next);
    }
    const next = isFound
      ? null
      : this.#hereOf(
          [...reached].sort((a, b) => a - b),
          sort.isWord ? "word" : "other",
        );
    here.following[sort.number] = next;
    return next;
  }

  #hereOf(states: readonly number[], before: Before): Here {
    const key = `${before} ${states.join()}`;
    const here = this.#heres.get(key) ?? { states, before, following: [] };
    this.#heres.set(key, here);
    return here;
  }

  /** The states that wait for a character, once those that take none are passed. A match may begin at any place. */
  #close(
    { states, before }: Here,
    next: Sort | null,
  ): { readonly isFound: boolean; readonly chars: readonly number[] } {
    const { states: all, first } = this.#machine;
    const left = [...states, first];
    const seen = new Set<number>();
    const chars: number[] = [];
    let isFound = false;
    for (let number = left.pop(); number !== undefined; number = left.pop()) {
      if (seen.has(number)) continue;
      seen.add(number);
      const state = all[number];
      if (state === undefined) continue;
      if (state.kind === "found") isFound = true;
      else if (state.kind === "char") chars.push(number);
      else if (state.kind === "either") left.push(state.next, state.other);
      else if (isAt(state.place, before, next)) left.push(state.next);
    }
    this.#spend(1 + 2 * seen.size);
    return { isFound, chars };
  }
}

function isAt(place: "start" | "end" | "edge" | "inside", before: Before, next: Sort | null): boolean {
  if (place === "start") return before === "nothing";
  if (place === "end") return next === null;
  const isEdge = (before === "word") !== (next?.isWord === true);
  return isEdge === (place === "edge");
}
