// Text that streams: each token is sent before the next one is made. By RunPod's API and by OpenAI's.
import { readFileSync } from "node:fs";
import { type Job, start } from "waybill/worker";
import { type Input, input } from "./input.ts";
import { NgramModel } from "./model.ts";
import { answerOpenAi } from "./openai.ts";

let model: NgramModel;

await start({
  prestart: () => {
    model = new NgramModel(readFileSync(new URL("text.txt", import.meta.url), "utf8"));
  },
  input,
  // A handler that gives back a generator streams what that yields.
  handler: ({ input, signal }: Job<Input>) => {
    const { openai_route: route, openai_input: body, max_tokens: maxTokens, ...wanted } = input;
    if (route !== undefined) return answerOpenAi(model, route, body, signal);
    return model.generate({ ...wanted, maxTokens, signal });
  },
  // RunPod makes no output of the chunks by itself; Waybill does.
  returnAggregateStream: true,
});
