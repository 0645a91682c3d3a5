// Streams of an OpenAI server that end in one of many ways, and what becomes of the job, its client and its bill.

/** One way for a stream to end. `path` is that of the client's request. */
export interface StreamCase {
  readonly path: "/v1/chat/completions" | "/v1/responses" | "/v1/messages";
  /** The text of the events, with LF as line end and without `[DONE]`. */
  readonly text: string;
  readonly status: "COMPLETED" | "FAILED";
  /** The last event before `[DONE]` that the client gets, or a part of it. */
  readonly last: string;
  /** The last event where the server itself ends with `[DONE]`, if it differs then. */
  readonly withDone?: Pick<StreamCase, "status" | "last" | "tokens">;
  /** The tokens of the usage line; null: there is no line, for nothing is billed. */
  readonly tokens: { readonly completion: number; readonly estimated: boolean } | null;
}

const BOOM = { message: "boom", type: "server_error", code: "boom" };
const event = (data: object, name?: string) =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`;

const delta = (content: string, finish: string | null = null, more: object = {}) =>
  event({
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
    ...more,
  });
const ZEROS = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
const USAGE = { prompt_tokens: 9, completion_tokens: 7, total_tokens: 16 };
const CHAT = `${delta("hé")}${delta("llo")}`;

const response = (type: string, more: object = {}) => event({ type, ...more }, type);
const RESPONSES = `${response("response.created", { response: { id: "r", error: null } })}${response("response.output_text.delta", { delta: "hé" })}`;
const RESPONSES_USAGE = { input_tokens: 9, output_tokens: 7, total_tokens: 16 };

const MESSAGES = [
  event({ type: "message_start", message: { usage: { input_tokens: 9, output_tokens: 1 } } }, "message_start"),
  event({ type: "content_block_delta", delta: { type: "text_delta", text: "hé" } }, "content_block_delta"),
].join("");

export const BROKE_OFF = '"message":"the upstream\'s stream ended before its last event"';
const CHAT_FAILED = {
  path: "/v1/chat/completions",
  status: "FAILED",
  tokens: { completion: 2, estimated: true },
} as const;
const RESPONSES_FAILED = {
  path: "/v1/responses",
  status: "FAILED",
  tokens: { completion: 1, estimated: true },
} as const;

export const STREAM_CASES: Readonly<Record<string, StreamCase>> = {
  "a whole chat": {
    path: "/v1/chat/completions",
    text: `${CHAT}${delta("", "stop")}`,
    status: "COMPLETED",
    last: '"finish_reason":"stop"',
    tokens: { completion: 2, estimated: true },
  },
  "a whole chat with its usage in a chunk of its own": {
    path: "/v1/chat/completions",
    text: `${CHAT}${delta("", "stop")}${event({ choices: [], usage: USAGE })}`,
    status: "COMPLETED",
    last: '"finish_reason":"stop"',
    tokens: { completion: 7, estimated: false },
  },
  "a whole chat with its usage beside the last choice": {
    path: "/v1/chat/completions",
    text: `${CHAT}${delta("!", "stop", { usage: USAGE })}`,
    status: "COMPLETED",
    last: '"finish_reason":"stop"',
    tokens: { completion: 7, estimated: false },
  },
  "a chat without a finish_reason": {
    path: "/v1/chat/completions",
    text: CHAT,
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
    withDone: { status: "COMPLETED", last: '"content":"llo"', tokens: { completion: 2, estimated: true } },
  },
  "a chat with one of its two choices unfinished": {
    path: "/v1/chat/completions",
    text: `${delta("a", "stop")}${event({ choices: [{ index: 1, delta: { content: "b" }, finish_reason: null }] })}`,
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
    withDone: { status: "COMPLETED", last: '"content":"b"', tokens: { completion: 2, estimated: true } },
  },
  "an error in data": { ...CHAT_FAILED, text: `${CHAT}${event({ error: BOOM })}`, last: '{"error":{"message":"boom"' },
  "an error in data of an event of that name": {
    ...CHAT_FAILED,
    text: `${CHAT}${event({ error: BOOM }, "error")}`,
    last: '{"error":{"message":"boom"',
  },
  "an error as a text of an event of that name": {
    ...CHAT_FAILED,
    text: `${CHAT}event: error\ndata: boom\n\n`,
    last: '{"error":{"message":"boom"',
  },
  "an error in a line of its own name": {
    ...CHAT_FAILED,
    text: `${CHAT}error: ${JSON.stringify(BOOM)}\n\n`,
    last: '{"error":{"message":"boom"',
  },
  "an error as JSON without a frame": {
    ...CHAT_FAILED,
    text: `${CHAT}${JSON.stringify({ error: BOOM })}\n`,
    last: '{"error":{"message":"boom"',
  },
  "an error of older vLLM servers": {
    ...CHAT_FAILED,
    text: `${CHAT}${event({ object: "error", message: "boom", code: 500 })}`,
    last: '{"error":{"message":"boom"',
  },
  "an error of another API in a chat": {
    ...CHAT_FAILED,
    text: `${CHAT}${event({ type: "error", message: "boom" })}`,
    last: '{"error":{"message":"boom"',
  },
  "a chat that is cut in the middle of an event": {
    path: "/v1/chat/completions",
    text: `${CHAT}data: {"choices":[{"index":0,"delta":{"cont`,
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
  },
  "a chat that is cut before its first choice": {
    path: "/v1/chat/completions",
    text: event({ choices: [], prompt_filter_results: [] }),
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
    withDone: { status: "COMPLETED", last: '"choices":[]', tokens: { completion: 0, estimated: true } },
  },
  "an error of a choice": {
    ...CHAT_FAILED,
    text: `${CHAT}${event({ choices: [{ index: 0, delta: {}, error: BOOM }] })}`,
    last: '{"error":{"message":"boom"',
  },
  "an error beside a usage": {
    ...CHAT_FAILED,
    text: `${CHAT}${event({ error: BOOM, usage: USAGE })}`,
    last: '{"error":{"message":"boom"',
    tokens: { completion: 7, estimated: false },
  },
  "a whole chat with zeros for a usage": {
    path: "/v1/chat/completions",
    text: `${delta("a", null, { usage: ZEROS })}${delta("b", "stop", { usage: ZEROS })}`,
    status: "COMPLETED",
    last: '"finish_reason":"stop"',
    tokens: { completion: 2, estimated: true },
  },
  "a whole response of another server": {
    path: "/v1/responses",
    text: `${RESPONSES}${response("response.done", { response: { usage: RESPONSES_USAGE } })}`,
    status: "COMPLETED",
    last: '"type":"response.done"',
    tokens: { completion: 7, estimated: false },
  },
  "a whole response": {
    path: "/v1/responses",
    text: `${RESPONSES}${response("response.completed", { response: { usage: RESPONSES_USAGE } })}`,
    status: "COMPLETED",
    last: '"type":"response.completed"',
    tokens: { completion: 7, estimated: false },
  },
  "a response that is incomplete": {
    path: "/v1/responses",
    text: `${RESPONSES}${response("response.incomplete", { response: { usage: RESPONSES_USAGE } })}`,
    status: "COMPLETED",
    last: '"type":"response.incomplete"',
    tokens: { completion: 7, estimated: false },
  },
  "a response that fails": {
    ...RESPONSES_FAILED,
    text: `${RESPONSES}${response("response.failed", { response: { error: BOOM } })}`,
    last: '"type":"response.failed"',
  },
  "a response with an event of type error": {
    ...RESPONSES_FAILED,
    text: `${RESPONSES}${response("error", { code: "boom", message: "boom" })}`,
    last: '"message":"boom"',
  },
  "a response without its last event": {
    path: "/v1/responses",
    text: RESPONSES,
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
  },
  "whole messages": {
    path: "/v1/messages",
    text: `${MESSAGES}${event({ type: "message_delta", delta: {}, usage: { output_tokens: 7 } }, "message_delta")}${event({ type: "message_stop" }, "message_stop")}`,
    status: "COMPLETED",
    last: '"type":"message_stop"',
    tokens: { completion: 7, estimated: false },
  },
  "messages with an error": {
    path: "/v1/messages",
    text: `${MESSAGES}${event({ type: "error", error: { type: "overloaded_error", message: "boom" } }, "error")}`,
    status: "FAILED",
    last: '"message":"boom"',
    tokens: { completion: 2, estimated: true },
  },
  "messages without their last event": {
    path: "/v1/messages",
    text: MESSAGES,
    status: "FAILED",
    last: BROKE_OFF,
    tokens: null,
  },
};

export const FORMATS = ["lf", "crlf", "single bytes", "gzip"] as const;
export type StreamFormat = (typeof FORMATS)[number];
