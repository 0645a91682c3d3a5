// What the worker takes: jobs of its own form, and OpenAI's requests, whose bodies come as `openai_input` with their path beside them.
import * as z from "zod";

export const prompt = z.string().max(4_096);
export const maxTokens = z.int().min(1).max(4_096);
export const seed = z.int().min(0).max(4_294_967_295);

export const input = z.strictObject({
  prompt: prompt.default(""),
  max_tokens: maxTokens.default(64),
  seed: seed.optional(),
  openai_route: z.string().optional(),
  openai_input: z.unknown().optional(),
});
export type Input = z.infer<typeof input>;
