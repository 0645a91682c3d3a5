// Reads a GraphQL document of the form that RunPod's clients send: one field at its root, with its arguments inline.
import { VALUE_DEPTH_MAX } from "./limits.ts";

export type GraphQlValue =
  | string
  | number
  | boolean
  | null
  | readonly GraphQlValue[]
  | { readonly [name: string]: GraphQlValue };

export interface GraphQlField {
  readonly name: string;
  /** Values of an enum are texts. */
  readonly args: Readonly<Record<string, GraphQlValue>>;
  readonly selection: readonly GraphQlField[];
}

export interface GraphQlDocument {
  readonly operation: "query" | "mutation";
  readonly field: GraphQlField;
}

/** Nothing that is served has so many members, and each costs a member of every object of the answer. */
const FIELDS_MAX = 100;

const IGNORED = /(?:[\s,\ufeff]+|#[^\n\r]*)+/y;
const TOKEN =
  /\.\.\.|[!$():=@[\]{|}&]|[_A-Za-z][_0-9A-Za-z]*|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|"(?:[^"\\\n\r]|\\[^\n\r])*"/y;
const NAME = /^[_A-Za-z]/;

class Unreadable extends Error {}

interface Token {
  readonly text: string;
  /** The index of its first character in the query. */
  readonly at: number;
}

/** The document, or one sentence on why it is none that is served. */
export function parseGraphQl(text: string): GraphQlDocument | { readonly problem: string } {
  try {
    return new Parser(tokensOf(text)).document();
  } catch (error) {
    if (error instanceof Unreadable) return { problem: error.message };
    throw error;
  }
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; ; ) {
    at += matchAt(IGNORED, text, at).length;
    if (at === text.length) return tokens;
    const token = matchAt(TOKEN, text, at);
    if (token === "") throw new Unreadable(`the query cannot be read at ${placeOf(at)}`);
    tokens.push({ text: token, at });
    at += token.length;
  }
}

/**
 * Where the query is wrong. Its text is not repeated: clients put values of environments into it as they are, so that one with a quote
 * or a backslash in it, often a token, is where it cannot be read.
 */
function placeOf(at: number): string {
  return `its character ${at + 1}`;
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? "";
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;
  #fields = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  document(): GraphQlDocument {
    let operation: GraphQlDocument["operation"] = "query";
    if (this.#next() !== "{") {
      const word = this.#take().text;
      if (word !== "query" && word !== "mutation")
        throw new Unreadable("it does not begin with a query or a mutation, and nothing else is served here");
      operation = word;
      if (NAME.test(this.#next())) this.#take();
      if (this.#next() === "(")
        throw new Unreadable("variables are not taken here: write the arguments into the query");
    }
    const [field, another] = this.#selection(1);
    if (another !== undefined || this.#at < this.#tokens.length) throw new Unreadable("ask for one field at a time");
    if (field === undefined) throw new Unreadable("the query asks for nothing");
    return { operation, field };
  }

  #selection(depth: number): GraphQlField[] {
    if (depth > VALUE_DEPTH_MAX) throw new Unreadable("the query is nested too deeply");
    this.#expect("{");
    const fields = new Map<string, GraphQlField>();
    while (this.#next() !== "}") {
      const field = this.#field(depth);
      const again = fields.get(field.name);
      if (again !== undefined && (again.selection.length > 0 || field.selection.length > 0))
        throw new Unreadable(`ask for ${field.name} once`);
      fields.set(field.name, field);
    }
    this.#take();
    return [...fields.values()];
  }

  #field(depth: number): GraphQlField {
    const name = this.#name();
    this.#fields += 1;
    if (this.#fields > FIELDS_MAX) throw new Unreadable(`the query asks for over ${FIELDS_MAX} fields`);
    const args = this.#next() === "(" ? this.#members("(", ")", depth) : {};
    const selection = this.#next() === "{" ? this.#selection(depth + 1) : [];
    return { name, args, selection };
  }

  /** Arguments of a field, or members of an object. */
  #members(open: string, close: string, depth: number): Record<string, GraphQlValue> {
    this.#expect(open);
    const members: [string, GraphQlValue][] = [];
    while (this.#next() !== close) {
      const name = this.#name();
      this.#expect(":");
      members.push([name, this.#value(depth + 1)]);
    }
    this.#take();
    return Object.fromEntries(members);
  }

  #value(depth: number): GraphQlValue {
    if (depth > VALUE_DEPTH_MAX) throw new Unreadable("the query is nested too deeply");
    if (this.#next() === "{") return this.#members("{", "}", depth);
    if (this.#next() === "[") return this.#list(depth);
    const { text: token, at } = this.#take();
    if (token === "$") throw new Unreadable("variables are not taken here: write the arguments into the query");
    if (token.startsWith('"')) return textOf(token, at);
    if (/^[-\d]/.test(token)) return Number(token);
    if (token === "true" || token === "false") return token === "true";
    if (token === "null") return null;
    if (NAME.test(token)) return token;
    throw new Unreadable(`a value was expected at ${placeOf(at)}`);
  }

  #list(depth: number): GraphQlValue[] {
    this.#take();
    const values: GraphQlValue[] = [];
    while (this.#next() !== "]") values.push(this.#value(depth + 1));
    this.#take();
    return values;
  }

  #name(): string {
    const { text: token, at } = this.#take();
    if (token === "...") throw new Unreadable("fragments are not taken here: name the fields");
    if (!NAME.test(token)) throw new Unreadable(`a name was expected at ${placeOf(at)}`);
    return token;
  }

  #expect(token: string): void {
    const found = this.#take();
    if (found.text !== token) throw new Unreadable(`${token} was expected at ${placeOf(found.at)}`);
  }

  /** The token that comes next; "" at the end. */
  #next(): string {
    return this.#tokens[this.#at]?.text ?? "";
  }

  #take(): Token {
    const token = this.#tokens[this.#at];
    if (token === undefined) throw new Unreadable("the query ends too early");
    this.#at += 1;
    return token;
  }
}

/** GraphQL's escapes are those of JSON; a raw tab is allowed here, and not there. */
function textOf(token: string, at: number): string {
  try {
    return String(JSON.parse(token.replaceAll("\t", "\\t")));
  } catch {
    throw new Unreadable(`the text at ${placeOf(at)} has an escape that cannot be read`);
  }
}
