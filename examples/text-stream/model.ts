// A toy in place of a language model: it knows which words followed which in one short text, and goes on in that manner. It makes no sense,
// but it has what a worker has to deal with: a prompt, tokens that come one after the other, a seed, and an end when nobody waits any more.
import { randomInt } from "node:crypto";
import { setImmediate as othersTurn } from "node:timers/promises";

export interface Wanted {
  readonly prompt: string;
  readonly maxTokens: number;
  /** With the same one the same tokens come; without one, others each time. */
  readonly seed?: number | undefined;
  readonly signal: AbortSignal;
}

/** How many tokens before a token decide on it. */
const CONTEXT_TOKENS = 2;

export class NgramModel {
  /** The tokens that came behind some others, as often as they did. */
  readonly #followers = new Map<string, string[]>();

  /** Learns from a text, in some milliseconds. */
  constructor(text: string) {
    const tokens = tokensOf(text);
    for (const [at, token] of tokens.entries()) {
      for (let length = 0; length <= Math.min(CONTEXT_TOKENS, at); length += 1) {
        const context = tokens.slice(at - length, at).join(" ");
        const followers = this.#followers.get(context) ?? [];
        this.#followers.set(context, followers);
        followers.push(token);
      }
    }
  }

  /** Yields pieces of text, each a token with the space before it. Ends at once when the signal fires. */
  async *generate({ prompt, maxTokens, seed, signal }: Wanted): AsyncGenerator<string> {
    const random = randomOf(seed ?? randomInt(2 ** 32));
    let context = tokensOf(prompt);
    for (let count = 0; count < maxTokens; count += 1) {
      // A real model computes elsewhere meanwhile. This is when the worker learns that the job was cancelled.
      await othersTurn();
      if (signal.aborted) return;
      context = context.slice(-CONTEXT_TOKENS);
      const token = this.#choose(context, random);
      const isFirst = context.length === 0;
      context.push(token);
      yield isFirst || /^[^\p{L}\p{N}]/u.test(token) ? token : ` ${token}`;
    }
  }

  /** Goes by two tokens where the text went on behind them in more than one way, or it would only recite; else by one, else by none. */
  #choose(context: readonly string[], random: () => number): string {
    for (let length = context.length; length >= 0; length -= 1) {
      const followers = this.#followers.get(context.slice(context.length - length).join(" ")) ?? [];
      const chosen = followers[Math.floor(random() * followers.length)];
      if (chosen !== undefined && (length < CONTEXT_TOKENS || new Set(followers).size > 1)) return chosen;
    }
    throw new Error("the model has learned from an empty text");
  }
}

/** Words and marks, each a token. */
export function tokensOf(text: string): string[] {
  return text.match(/[\p{L}\p{N}]+(?:[-'’][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]/gu) ?? [];
}

/** Numbers from 0 to 1 that depend on the seed alone: the generator Mulberry32. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
