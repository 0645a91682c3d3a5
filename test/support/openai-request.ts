// What a test says of an OpenAI request, without its body: a streamed chat completion unless told otherwise.
import type { OpenAiRequest } from "../../src/core/openai/request.ts";

export function openAiRequest(fields: Partial<OpenAiRequest> = {}): OpenAiRequest {
  return {
    method: "POST",
    path: "/v1/chat/completions",
    query: "",
    contentType: "application/json",
    stream: true,
    hidesUsage: false,
    ...fields,
  };
}
