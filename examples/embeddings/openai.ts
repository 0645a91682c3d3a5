// OpenAI's `POST /v1/embeddings`: the body of a request in, the body of its answer out.
import { DIMENSIONS, embed, isTexts, MODEL, TEXTS_RULE } from "./model.ts";

/** An answer that OpenAI's clients make an exception of: 400 by its type. */
export interface Refused {
  readonly error: { readonly message: string; readonly type: string; readonly param: string };
}

export interface EmbeddingList {
  readonly object: "list";
  readonly data: readonly {
    readonly object: "embedding";
    readonly index: number;
    /** Numbers, or as base64 the same as 32-bit floats, the lowest byte first. */
    readonly embedding: readonly number[] | string;
  }[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

/** `model` of the request may be any: there is one. */
export async function createEmbeddings(body: unknown): Promise<EmbeddingList | Refused> {
  const request: Partial<Record<string, unknown>> = typeof body === "object" ? { ...body } : {};
  const { input, encoding_format: format = "float", dimensions = DIMENSIONS } = request;
  const texts = typeof input === "string" ? [input] : input;
  if (!isTexts(texts)) return refuse("input", `must be ${TEXTS_RULE}`);
  if (format !== "float" && format !== "base64") return refuse("encoding_format", "must be float or base64");
  if (dimensions !== DIMENSIONS) return refuse("dimensions", `must be ${DIMENSIONS}`);
  const { vectors, tokens } = await embed(texts);
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: format === "float" ? vector : base64Of(vector),
    })),
    model: MODEL,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

function refuse(param: string, problem: string): Refused {
  return { error: { message: `${param} ${problem}`, type: "invalid_request_error", param } };
}

function base64Of(vector: readonly number[]): string {
  return Buffer.from(new Float32Array(vector).buffer).toString("base64");
}
