// Embeddings as jobs: by RunPod's API with `input.texts`, and by OpenAI's, whose requests an endpoint makes jobs of, too.
import { type Job, start } from "waybill/worker";
import { embed, isTexts, loadModel, MODEL, TEXTS_RULE } from "./model.ts";
import { createEmbeddings } from "./openai.ts";

interface Input {
  readonly texts: readonly string[] | null;
  readonly openai_route: string | null;
  readonly openai_input: unknown;
}

await start({
  prestart: loadModel,
  input: {
    texts: { type: "list", required: false, default: null, constraints: isTexts },
    // A job that came by `/openai/v1/…` has these in place of texts: the path, and the body of the request.
    openai_route: { type: "str", required: false, default: null },
    openai_input: { type: "dict", required: false, default: null },
  },
  handler: async ({ input }: Job<Input>) => {
    const { texts, openai_route: route } = input;
    if (route === "/v1/embeddings") return createEmbeddings(input.openai_input);
    if (route !== null) return { error: { message: `there is no ${route} here`, type: "not_found_error" } };
    if (texts === null) return { error: `input.texts is missing: it must be ${TEXTS_RULE}` };
    const { vectors, tokens } = await embed(texts);
    return { embeddings: vectors, model: MODEL, tokens };
  },
});
