// What the events of a stream show of its end.
import { describe, expect, it } from "vitest";
import { parseJson } from "../../../src/core/json/value.ts";
import { PassedEvent } from "../../../src/core/openai/passed-event.ts";
import { apiOf, StreamVerdict } from "../../../src/core/openai/stream-verdict.ts";
import { SseSplitter } from "../../../src/core/sse/events.ts";

/** The verdict on a stream, and the forms in which it has reported errors. */
function judge(text: string, path = "/v1/models"): { readonly verdict: StreamVerdict; readonly forms: string[] } {
  const verdict = new StreamVerdict(apiOf(path));
  const splitter = new SseSplitter();
  const forms: string[] = [];
  for (const event of [...splitter.push(new TextEncoder().encode(text)), ...splitter.end()]) {
    const reported = verdict.see(event, event.data === null ? undefined : parseJson(event.data));
    if (reported !== null) forms.push(reported.form);
  }
  return { verdict, forms };
}

describe("an error", () => {
  it.each([
    ["in data", 'data: {"error":{"message":"boom"}}', '{"error":{"message":"boom"}}', "wrapped"],
    ["as a text in data", 'data: {"error":"boom"}', '{"error":"boom"}', "wrapped"],
    [
      "of the Responses API",
      'data: {"type":"error","message":"boom"}',
      '{"error":{"type":"error","message":"boom"}}',
      "typed",
    ],
    [
      "of a failed response",
      'data: {"type":"response.failed","response":{"error":{"message":"boom"}}}',
      '{"error":{"message":"boom"}}',
      "typed",
    ],
    [
      "of a failed response without a message",
      'data: {"type":"response.failed"}',
      '{"error":{"message":"the response failed"}}',
      "typed",
    ],
    ["by the event's name", "event: error\ndata: boom", '{"error":"boom"}', "other"],
    [
      "by the event's name, without data",
      "event: error\ndata:",
      '{"error":"the server failed without a message"}',
      "other",
    ],
    ["in a line of its own name", 'error: {"message":"boom"}', '{"error":{"message":"boom"}}', "other"],
    ["in a line of its own name, as a text", "error: boom", '{"error":"boom"}', "other"],
    ["without a frame", '{"error":{"message":"boom"}}', '{"error":{"message":"boom"}}', "other"],
    ["without a frame, on several lines", '{\n "detail":\n "boom"\n}', '{"error":{"detail":"boom"}}', "other"],
    ["of a choice", 'data: {"choices":[{"error":{"message":"boom"}}]}', '{"error":{"message":"boom"}}', "other"],
    [
      "as a finish_reason",
      'data: {"choices":[{"finish_reason":"error"}]}',
      '{"error":{"message":"the server failed in the middle of its answer"}}',
      "other",
    ],
    ["behind data of the same event", 'data: {"choices":[]}\n{"error":"boom"}', '{"error":"boom"}', "other"],
  ])("%s is found", (_where, text, error, form) => {
    const { verdict, forms } = judge(`${text}\n\n`);
    expect([verdict.error, forms]).toEqual([error, [form]]);
  });

  it.each([
    'data: {"error":null,"choices":[]}',
    'data: {"error":"","choices":[]}',
    'data: {"error":{},"choices":[]}',
    'data: {"error":0,"choices":[]}',
    'data: {"error":[],"choices":[]}',
    'data: {"type":"response.created","response":{"error":null}}',
    "data: error: boom",
    ": error: a comment",
    "some text of a proxy",
    '{"choices":[]}',
    "event: errors\ndata: {}",
  ])("is none: %s", (text) => {
    expect(judge(`${text}\n\n`).verdict.error).toBeNull();
  });

  it("that came first is the stream's", () => {
    expect(judge('data: {"error":"one"}\n\ndata: {"error":"two"}\n\n').verdict.error).toBe('{"error":"one"}');
  });
});

describe("a stream is whole", () => {
  it.each([
    ["a chat with a finish_reason", 'data: {"choices":[{"index":0,"finish_reason":"length"}]}', true],
    ["a chat without", 'data: {"choices":[{"index":0,"finish_reason":null}]}', false],
    ["a chat with an empty one", 'data: {"choices":[{"index":0,"finish_reason":""}]}', false],
    ["a chat without, but with [DONE]", 'data: {"choices":[{"index":0}]}\n\ndata: [DONE]', true],
    [
      "a chat with the usage alone at its end",
      'data: {"choices":[{"index":0}]}\n\ndata: {"choices":[],"usage":{"total_tokens":1}}',
      true,
    ],
    [
      "a chat whose finished choice sends more",
      'data: {"choices":[{"index":0,"finish_reason":"stop"}]}\n\ndata: {"choices":[{"index":0,"finish_reason":null}]}',
      true,
    ],
    ["a response that is completed", 'data: {"type":"response.completed"}', true],
    ["a response of another server", 'data: {"type":"response.created"}\n\ndata: {"type":"response.done"}', true],
    [
      "a chat that breaks off behind an early usage",
      'data: {"choices":[],"usage":{"total_tokens":1}}\n\ndata: {"choices":[{"index":0}]}',
      false,
    ],
    ["a response with [DONE] alone", 'data: {"type":"response.created"}\n\ndata: [DONE]', false],
    ["a message that has not stopped", 'data: {"type":"message_start"}', false],
    ["a stream of another API", 'data: {"type":"speech.audio.delta"}', true],
  ])("or not: %s", (_what, text, expected) => {
    expect(judge(`${text}\n\n`).verdict.isWhole).toBe(expected);
  });

  it.each([
    ["/v1/chat/completions", ": ping"],
    ["/v1/chat/completions?a=b", 'data: {"choices":[],"prompt_filter_results":[]}'],
    ["/v1/completions", 'data: {"choices":[],"usage":{"total_tokens":1}}'],
    ["/v1/responses", "data: {}"],
    ["/v1/messages", 'data: {"type":"ping"}'],
  ])("not by its path alone: %s", (path, text) => {
    expect(judge(`${text}\n\n`, path).verdict.isWhole).toBe(false);
  });

  it("by the type of an event that is too large to be held", () => {
    const verdict = new StreamVerdict(null);
    const see = (text: string) => {
      const passed = new PassedEvent();
      passed.push(new TextEncoder().encode(text));
      const { event, value } = passed.read();
      verdict.see(event, value);
    };
    const rest = `${"x".repeat(1_000_000)}"}}\n\n`;
    see(`data: {"type":"response.created","response":{"output":"xx${rest}`);
    expect(verdict.isWhole).toBe(false);
    see(`event: response.completed\ndata: {"type": "response.completed","response":{"type":"x${rest}`);
    expect(verdict.isWhole).toBe(true);
  });
});
