// What this worker does with a job: it guesses the language of a text.
import { readFileSync } from "node:fs";
import type { InputRules, Job } from "waybill/worker";

/** By language: how often each of its most common words is used in a thousand words of text. */
type Model = Readonly<Record<string, Readonly<Record<string, number>>>>;

// The model is loaded once, when the worker starts, and serves all of its jobs. Put the line that loads yours in place of this one.
const model: Model = JSON.parse(readFileSync(new URL("./model/languages.json", import.meta.url), "utf8"));

/** What the input of a job has to look like. Any other one is refused, by the endpoint before it is a job. */
export const input: InputRules = {
  text: { type: "str", constraints: (text: string) => text.trim() !== "" },
  alternatives: { type: "int", required: false, default: 0, constraints: (count: number) => count >= 0 },
};

interface Input {
  readonly text: string;
  /** How many other languages the answer is to name. */
  readonly alternatives: number;
}

/** Does a job: what it returns is the job's output, and what it throws makes the job FAILED. */
export function handler({ input: { text, alternatives }, log }: Job<Input>) {
  const [best, ...others] = guess(text);
  if (best === undefined) throw new Error("no word of the text is one of a language that the model has");
  log.info("guessed", { language: best.language, characters: text.length });
  return { ...best, ...(alternatives > 0 && { alternatives: others.slice(0, alternatives) }) };
}

/** The languages that the text may be in, the likeliest first; `confidence` is from 0 to 1. */
export function guess(text: string): { readonly language: string; readonly confidence: number }[] {
  // A word that a language does not list counts as one that is hardly used in it.
  const unlisted = 0.05;
  const words = text.toLowerCase().match(/\p{L}+/gu) ?? [];
  const known = Object.entries(model).filter(([, uses]) => words.some((word) => Object.hasOwn(uses, word)));
  const scores = known.map(([language, uses]) => ({
    language,
    score: words.reduce((sum, word) => sum + Math.log((uses[word] ?? unlisted) / unlisted), 0),
  }));
  const highest = Math.max(...scores.map(({ score }) => score));
  const weights = scores.map(({ language, score }) => ({ language, weight: Math.exp(score - highest) }));
  const total = weights.reduce((sum, { weight }) => sum + weight, 0);
  return weights
    .sort((a, b) => b.weight - a.weight)
    .map(({ language, weight }) => ({ language, confidence: Math.round((weight / total) * 1_000) / 1_000 }));
}
