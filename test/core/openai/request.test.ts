import { describe, expect, it } from "vitest";
import { isJsonType, type OpenAiRequest, openAiInput } from "../../../src/core/openai/request.ts";
import { streamsEvents } from "../../../src/core/openai/shown-events.ts";
import { openAiRequest } from "../../support/openai-request.ts";

const POST = openAiRequest({ stream: false });
const BODY = { kind: "inline", bytes: new TextEncoder().encode('{"n":1.0}') } as const;

function inputOf(request: OpenAiRequest): unknown {
  const parts = openAiInput(request, BODY);
  return JSON.parse(parts.map((part) => (typeof part === "string" ? part : '{"n":1.0}')).join(""));
}

describe("the input of an OpenAI job for a RunPod worker", () => {
  it("names the route and has the raw body, and no more where no more is needed", () => {
    expect(openAiInput(POST, BODY)).toEqual(['{"openai_route":"/v1/chat/completions","openai_input":', BODY, "}"]);
    expect(Object.keys(Object(inputOf({ ...POST, method: "GET", contentType: null })))).toEqual([
      "openai_route",
      "openai_input",
    ]);
  });

  it("tells of another method, a query, and a body that is no JSON", () => {
    const request = { ...POST, method: "PUT", query: "?a=1", contentType: "audio/wav" };
    expect(inputOf(request)).toMatchObject({
      openai_method: "PUT",
      openai_query: "?a=1",
      openai_content_type: "audio/wav",
    });
  });

  it.each([
    ["application/json", true],
    ["Application/JSON; charset=utf-8", true],
    ["application/problem+json", true],
    ["application/jsonl", false],
    ["text/json-ish", false],
    [null, false],
  ])("calls %s JSON: %s", (type, expected) => {
    expect(isJsonType(type)).toBe(expected);
  });
});

it.each([
  ["/v1/chat/completions", true, true],
  ["/v1/completions", true, true],
  ["/v1/responses?include=x", true, true],
  ["/v1/messages", true, true],
  ["/v1/messages/count_tokens", true, false],
  ["/v1/audio/speech", true, false],
  ["/v1/chat/completions", false, false],
])("a client of %s (stream: %s) reads events, and ignores comments between them: %s", (path, stream, expected) => {
  expect(streamsEvents({ path, stream })).toBe(expected);
});
