// What the OpenAI server for tests says, in the shapes of vLLM's server. It repeats the last message, one token a word, so
// that texts and token counts follow from the request.
import * as z from "zod";

/** The one model that answers. */
export const MODEL = "tiny";

const usageSchema = z.looseObject({ include_usage: z.boolean().optional() });

/** Of any route that has a model: what the answers below are made of. */
const requestSchema = z.looseObject({
  model: z.string(),
  stream: z.boolean().optional(),
  stream_options: usageSchema.nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  messages: z
    .array(z.looseObject({ role: z.string(), content: z.string() }))
    .min(1)
    .optional(),
  prompt: z.string().optional(),
  input: z.union([z.string(), z.array(z.string())]).optional(),
  encoding_format: z.enum(["float", "base64"]).optional(),
});
export type OpenAiRequest = z.infer<typeof requestSchema>;

/** A refusal in vLLM's words: the status is in the body, too. */
export interface Refusal {
  readonly status: number;
  readonly body: { readonly error: { message: string; type: string; param: string | null; code: number } };
}

export function refuse(status: number, type: string, message: string, param: string | null = null): Refusal {
  return { status, body: { error: { message, type, param, code: status } } };
}

/** The request, or vLLM's 400 for it. */
export function readRequest(body: unknown): { readonly request: OpenAiRequest } | Refusal {
  const parsed = requestSchema.safeParse(body);
  if (parsed.success) return { request: parsed.data };
  const [issue] = parsed.error.issues;
  return refuse(400, "BadRequestError", `${issue?.path.join(".")}: ${issue?.message}`, issue?.path.join(".") ?? null);
}

export function refuseModel(model: string): Refusal {
  return refuse(404, "NotFoundError", `The model \`${model}\` does not exist.`, "model");
}

/** The words of a text, each with the space behind it. */
function tokensOf(text: string): string[] {
  return text.split(/(?<= )/);
}

function promptOf(request: OpenAiRequest): string {
  const { messages, prompt, input } = request;
  return messages?.at(-1)?.content ?? prompt ?? (Array.isArray(input) ? input.join(" ") : (input ?? ""));
}

function usageOf(request: OpenAiRequest) {
  const prompt = request.messages?.map(({ content }) => content).join(" ") ?? promptOf(request);
  const prompt_tokens = tokensOf(prompt).length;
  const completion_tokens = tokensOf(promptOf(request)).length;
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens };
}

/** OpenAI's rule: who asks for usage gets it in a chunk of its own at the end, and null in all others. */
function withUsageRule(request: OpenAiRequest, chunks: readonly object[], head: object): string[] {
  const isAsked = request.stream_options?.include_usage === true;
  const told = isAsked ? chunks.map((chunk) => ({ ...chunk, usage: null })) : [...chunks];
  const last = isAsked ? [{ ...head, choices: [], usage: usageOf(request) }] : [];
  return [...[...told, ...last].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`), "data: [DONE]\n\n"];
}

export function chatBody(request: OpenAiRequest): object {
  const message = { role: "assistant", content: promptOf(request), tool_calls: [] };
  const choices = [{ index: 0, message, logprobs: null, finish_reason: "stop" }];
  return { id: "chatcmpl-1", object: "chat.completion", created: 1, model: MODEL, choices, usage: usageOf(request) };
}

export function chatEvents(request: OpenAiRequest): string[] {
  const head = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: MODEL };
  const deltas = [{ role: "assistant", content: "" }, ...tokensOf(promptOf(request)).map((content) => ({ content }))];
  const chunks = deltas.map((delta) => ({ ...head, choices: [{ index: 0, delta, finish_reason: null }] }));
  const end = { ...head, choices: [{ index: 0, delta: {}, finish_reason: "stop" }] };
  return withUsageRule(request, [...chunks, end], head);
}

export function completionBody(request: OpenAiRequest): object {
  const choices = [{ index: 0, text: promptOf(request), logprobs: null, finish_reason: "stop" }];
  return { id: "cmpl-1", object: "text_completion", created: 1, model: MODEL, choices, usage: usageOf(request) };
}

export function completionEvents(request: OpenAiRequest): string[] {
  const head = { id: "cmpl-1", object: "text_completion", created: 1, model: MODEL };
  const tokens = tokensOf(promptOf(request));
  const chunks = tokens.map((text, at) => ({
    ...head,
    choices: [{ index: 0, text, logprobs: null, finish_reason: at === tokens.length - 1 ? "stop" : null }],
  }));
  return withUsageRule(request, chunks, head);
}

export function responseBody(request: OpenAiRequest): object {
  const { prompt_tokens, completion_tokens, total_tokens } = usageOf(request);
  const content = [{ type: "output_text", text: promptOf(request), annotations: [] }];
  return {
    id: "resp_1",
    object: "response",
    created_at: 1,
    model: MODEL,
    status: "completed",
    error: null,
    output: [{ type: "message", id: "msg_1", role: "assistant", status: "completed", content }],
    usage: { input_tokens: prompt_tokens, output_tokens: completion_tokens, total_tokens },
  };
}

export function responseEvents(request: OpenAiRequest): string[] {
  const place = { item_id: "msg_1", output_index: 0, content_index: 0 };
  const begun = { ...responseBody(request), status: "in_progress", output: [], usage: null };
  const events = [
    { type: "response.created", response: begun },
    ...tokensOf(promptOf(request)).map((delta) => ({ type: "response.output_text.delta", ...place, delta })),
    { type: "response.output_text.done", ...place, text: promptOf(request) },
    { type: "response.completed", response: responseBody(request) },
  ];
  return events.map(
    (event, sequence_number) => `event: ${event.type}\ndata: ${JSON.stringify({ sequence_number, ...event })}\n\n`,
  );
}

/** The client asks for base64 unless told otherwise, and makes numbers of it. */
export function embeddingsBody(request: OpenAiRequest): object {
  const inputs = Array.isArray(request.input) ? request.input : [request.input ?? ""];
  const data = inputs.map((input, index) => {
    const numbers = embeddingOf(input);
    const asBase64 = Buffer.from(new Float32Array(numbers).buffer).toString("base64");
    return { object: "embedding", index, embedding: request.encoding_format === "base64" ? asBase64 : numbers };
  });
  const prompt_tokens = tokensOf(inputs.join(" ")).length;
  return { object: "list", model: MODEL, data, usage: { prompt_tokens, total_tokens: prompt_tokens } };
}

/** Numbers that stand in 32 bits without loss. */
export function embeddingOf(text: string): number[] {
  return [text.length, tokensOf(text).length, 0.5, -0.25];
}

export const MODELS_BODY = {
  object: "list",
  data: [{ id: MODEL, object: "model", created: 1, owned_by: "vllm", root: MODEL, parent: null }],
};

/** A picture of one dot. */
export const PICTURE_BASE64 =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

export const IMAGES_BODY = { created: 1, data: [{ b64_json: PICTURE_BASE64 }] };

/** Bytes that are no text in any encoding. */
export const SPEECH = Buffer.from(Array.from({ length: 4_096 }, (_, at) => (at * 7) % 256));
