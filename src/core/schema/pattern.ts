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
  /** The same by the next character itself: most characters of most texts cost this look-up and no other. */
  readonly ascii: (Here | null | undefined)[];
  /** Nothing that follows can be found any more. */
  readonly isLost: boolean;
  /** Finds the first character that is none of those that were seen to change nothing; made once many of them have come. */
  leaving: RegExp | null;
  /** Null: no text has ended here so far. */
  isFoundAtEnd: boolean | null;
}

/** Characters that one look-up each costs, in a unit of work: of a piece that is ASCII alone, and of any other. */
const ASCII_A_UNIT = 32;
const CHARS_A_UNIT = 8;
/** Work for a character that is looked up by its code: one of two units, or one that is met for the first time. */
const CHAR_UNITS = 2.5;
/** Work is counted piece by piece: an expression may be found at the beginning of a long text. */
const PIECE_CHARS = 4_096;
/** So many pieces that change nothing are worth a search of their own, which the engine takes 0.2 ms to prepare. */
const PIECES_STAYED = 4;
const LEAVING_UNITS = 4;
const LEFT_A_UNIT = 40;
const ASCII_CHARS = 128;
const UNITS = 65_536;
/** The table of all units has 128 KB, which each of hundreds of expressions would otherwise make for one name such as `é`. */
const TABLE_FROM_CHARS = 16;
/** The engine's hash of a number has no secret: of all codes, thousands could be chosen that have one place in a map, but not in a list. */
const PAGE_CODES = 128;
/** Work for the kilobyte that a place of the machine takes. */
const HERE_UNITS = 44;
/** From here on a piece of a text is read by its bytes. */
const LONG_CHARS = 64;
const ENCODER = new TextEncoder();
/** Those of the present piece: a matcher for each of a hundred names would need as many. */
const BYTES = new Uint8Array(PIECE_CHARS);
const WORD = /^\w$/;

/** Matches one expression, in one check: what it remembers is bounded by the work of that check. */
export class Matcher {
  readonly #machine: Machine;
  readonly #spend: Spend;
  #start: Here | null = null;
  readonly #heres = new Map<string, Here>();
  readonly #sorts = new Map<string, Sort>();
  readonly #numbered: Sort[] = [];
  /** By all but the lowest bits of a character's code, and by those: one more than the number of its sort. */
  readonly #pages: Uint16Array[] = [];
  /** By the code of a character of one unit, or of half a character that stands alone: one more than its sort's number. Null at first. */
  #sortAt: Uint16Array | null = null;
  #beyondAsciiRead = 0;

  constructor(machine: Machine, spend: Spend) {
    this.#machine = machine;
    this.#spend = spend;
  }

  /** As `new RegExp(source, "u").test(text)`. */
  test(text: string): boolean {
    this.#start ??= this.#hereOf([], "nothing");
    let here = this.#start;
    let stayed = 0;
    for (let from = 0; from < text.length; ) {
      const to = Math.min(text.length, from + PIECE_CHARS);
      const next = this.#run(here, text, from, to);
      if (next === null) return true;
      if (next.isLost) return false;
      stayed = next === here ? stayed + 1 : 0;
      here = next;
      from = stayed < PIECES_STAYED ? to : this.#leave(here, text, to);
      if (from !== to) stayed = 0;
    }
    here.isFoundAtEnd ??= this.#close(here, null).isFound;
    return here.isFoundAtEnd;
  }

  /** The first place from which on a machine may come to another place: the engine's own search does not have to be compiled first. */
  #leave(here: Here, text: string, from: number): number {
    here.leaving ??= leavingOf(here);
    here.leaving.lastIndex = from;
    const to = here.leaving.test(text) ? here.leaving.lastIndex - 1 : text.length;
    this.#spend(LEAVING_UNITS + (to - from) / LEFT_A_UNIT);
    return to;
  }

  /** Where the machine is behind a piece of a text; null: the expression is found. */
  #run(start: Here, text: string, from: number, to: number): Here | null {
    const length = to - from;
    if (length >= LONG_CHARS) {
      const { read, written } = ENCODER.encodeInto(text.slice(from, to), BYTES);
      if (read === length && written === length) {
        this.#spend(1 + length / ASCII_A_UNIT);
        return this.#runAscii(start, length);
      }
    }
    this.#spend(1 + length / CHARS_A_UNIT);
    return this.#runAny(start, text, from, to);
  }

  /** Bytes are read in half the time of a text's characters, above all by code that has not run before. */
  #runAscii(start: Here, length: number): Here | null {
    const bytes = BYTES;
    let here = start;
    for (let at = 0; at < length; at += 1) {
      const row = here.ascii;
      // Most characters of most texts leave the machine where it is.
      while (at < length && row[bytes[at] ?? 0] === here) at += 1;
      if (at >= length) break;
      const unit = bytes[at] ?? 0;
      const known = row[unit];
      const next = known === undefined ? this.#step(here, unit) : known;
      if (next === null || next.isLost) return next;
      here = next;
    }
    return here;
  }

  #runAny(start: Here, text: string, from: number, to: number): Here | null {
    let here = start;
    // Where a piece begins with the second half of a character of two units, that character was read with the piece before.
    for (let at = isInPair(text, from) ? from + 1 : from; at < to; at += 1) {
      let code = text.charCodeAt(at);
      if (isHalf(code)) code = text.codePointAt(at) ?? code;
      if (code >= UNITS) at += 1;
      const known = code < ASCII_CHARS ? here.ascii[code] : this.#beyondAscii(here, code);
      const next = known === undefined ? this.#step(here, code) : known;
      if (next === here) continue;
      if (next === null || next.isLost) return next;
      here = next;
    }
    return here;
  }

  #beyondAscii(here: Here, code: number): Here | null | undefined {
    const sort = code < UNITS ? (this.#sortAt?.[code] ?? 0) : 0;
    if (sort !== 0) return here.following[sort - 1];
    this.#spend(CHAR_UNITS);
    const next = this.#step(here, code);
    if (code < UNITS) this.#keepSort(code);
    return next;
  }

  #keepSort(code: number): void {
    this.#beyondAsciiRead += 1;
    if (this.#beyondAsciiRead < TABLE_FROM_CHARS) return;
    this.#sortAt ??= new Uint16Array(UNITS);
    this.#sortAt[code] = (this.#sortOf(code)?.number ?? -1) + 1;
  }

  #sortOf(code: number): Sort | undefined {
    const number = this.#pages[Math.floor(code / PAGE_CODES)]?.[code % PAGE_CODES] ?? 0;
    return number === 0 ? undefined : this.#numbered[number - 1];
  }

  #learn(code: number): Sort {
    const { tests } = this.#machine;
    this.#spend(2 + 1.5 * tests.length);
    const char = String.fromCodePoint(code);
    const isWord = WORD.test(char);
    const holds = tests.map((test) => test.has(char));
    const key = `${isWord} ${holds.join()}`;
    const sort = this.#sorts.get(key) ?? { number: this.#sorts.size, isWord, holds };
    this.#sorts.set(key, sort);
    this.#numbered[sort.number] = sort;
    const page = Math.floor(code / PAGE_CODES);
    const known = this.#pages[page] ?? new Uint16Array(PAGE_CODES);
    known[code % PAGE_CODES] = sort.number + 1;
    this.#pages[page] = known;
    return sort;
  }

  #step(here: Here, code: number): Here | null {
    const sort = this.#sortOf(code) ?? this.#learn(code);
    const known = here.following[sort.number];
    const next = known === undefined ? this.#follow(here, sort) : known;
    here.following[sort.number] = next;
    if (code < ASCII_CHARS) here.ascii[code] = next;
    return next;
  }

  #follow(here: Here, sort: Sort): Here | null {
    const { isFound, chars } = this.#close(here, sort);
    if (isFound) return null;
    const { states } = this.#machine;
    const reached = new Set<number>();
    for (const state of chars) {
      const one = states[state];
      if (one?.kind === "char" && sort.holds[one.test] === true) reached.add(one.next);
    }
    this.#spend(3 * reached.size);
    return this.#hereOf(
      [...reached].sort((a, b) => a - b),
      sort.isWord ? "word" : "other",
    );
  }

  #hereOf(states: readonly number[], before: Before): Here {
    const key = `${before} ${states.join()}`;
    const known = this.#heres.get(key);
    if (known !== undefined) return known;
    const isLost = states.length === 0 && before !== "nothing" && this.#machine.isAnchored;
    this.#spend(HERE_UNITS);
    const ascii: Here["ascii"] = new Array(ASCII_CHARS).fill(undefined);
    const here = { states, before, following: [], ascii, isLost, leaving: null, isFoundAtEnd: null };
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
    this.#spend(2 + 4 * seen.size);
    return { isFound, chars };
  }
}

function leavingOf(here: Here): RegExp {
  const codes = here.ascii.flatMap((next, unit) => (next === here ? [unit] : []));
  return new RegExp(`[^${codes.map((code) => `\\x${code.toString(16).padStart(2, "0")}`).join("")}]`, "g");
}

function isAt(place: "start" | "end" | "edge" | "inside", before: Before, next: Sort | null): boolean {
  if (place === "start") return before === "nothing";
  if (place === "end") return next === null;
  const isEdge = (before === "word") !== (next?.isWord === true);
  return isEdge === (place === "edge");
}

/** Whether a unit is a half of a character of two units, or would be if it did not stand alone. */
function isHalf(unit: number): boolean {
  return (unit & 0xf800) === 0xd800;
}

/** Whether a place is between the two units of one character. */
function isInPair(text: string, at: number): boolean {
  return at > 0 && (text.codePointAt(at - 1) ?? 0) >= UNITS;
}
