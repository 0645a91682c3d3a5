// OpenAI's completions and chat completions: the body of a request in, its answer out, as chunks or in one piece.
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { maxTokens, prompt, seed } from "./input.ts";
import { type NgramModel, tokensOf } from "./model.ts";

const MODEL = "harbour-trigrams";

/** A request of either route. */
interface Asked {
  readonly isChat: boolean;
  readonly prompt: string;
  readonly maxTokens: number;
  readonly seed?: number | undefined;
  readonly stream: boolean;
  readonly stream_options: { readonly include_usage: boolean };
}

// Members that are not named here, such as `model` or `temperature`, are taken and change nothing.
const options = {
  seed: seed.optional(),
  stream: z.boolean().default(false),
  stream_options: z.object({ include_usage: z.boolean().default(false) }).default({ include_usage: false }),
};
const ROUTES = new Map<string, z.ZodType<Asked>>([
  [
    "/v1/completions",
    z
      .object({ ...options, prompt: prompt.default(""), max_tokens: maxTokens.default(16) })
      .transform(({ max_tokens, ...body }) => ({ ...body, isChat: false, maxTokens: max_tokens })),
  ],
  [
    "/v1/chat/completions",
    z
      .object({
        ...options,
        messages: z.array(z.object({ content: prompt })).min(1),
        max_tokens: maxTokens.default(64),
        max_completion_tokens: maxTokens.optional(),
      })
      .transform(({ messages, max_tokens, max_completion_tokens, ...body }) => ({
        ...body,
        isChat: true,
        // The model has no memory: it goes on behind the last message.
        prompt: messages.at(-1)?.content ?? "",
        maxTokens: max_completion_tokens ?? max_tokens,
      })),
  ],
]);

/** Yields a chunk for each token, of which the endpoint makes events, or all of the answer as one object. */
export async function* answerOpenAi(
  model: NgramModel,
  route: string,
  body: unknown,
  signal: AbortSignal,
): AsyncGenerator<object> {
  const read = ROUTES.get(route)?.safeParse(body);
  if (read === undefined) return yield refuse("not_found_error", `there is no ${route} here`);
  if (!read.success) return yield refuse("invalid_request_error", shownProblems(read.error));
  const { isChat, stream, stream_options, ...wanted } = read.data;
  const head = { id: `cmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1_000), model: MODEL };
  const show = isChat ? (stream ? showDelta : showMessage) : showText;
  const tokens: string[] = [];
  for await (const token of model.generate({ ...wanted, signal })) {
    tokens.push(token);
    if (stream) yield { ...head, ...show(token, null) };
  }
  const [prompted, written] = [tokensOf(wanted.prompt).length, tokens.length];
  const usage = { prompt_tokens: prompted, completion_tokens: written, total_tokens: prompted + written };
  if (!stream) return yield { ...head, ...show(tokens.join(""), "length"), usage };
  yield { ...head, ...show("", "length") };
  if (stream_options.include_usage) yield { ...head, ...show("", null), choices: [], usage };
}

type Finish = "length" | null;

function showText(text: string, finish_reason: Finish) {
  return { object: "text_completion", choices: [{ index: 0, text, logprobs: null, finish_reason }] };
}

function showMessage(content: string, finish_reason: Finish) {
  return { object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }] };
}

function showDelta(content: string, finish_reason: Finish) {
  const delta = { role: "assistant", content };
  return { object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] };
}

function shownProblems({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
}

/** The clients get the status that is usual for errors of this type: 404, or 400. */
function refuse(type: string, message: string): object {
  return { error: { message, type } };
}
