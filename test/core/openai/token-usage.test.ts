// Tokens of answers as servers write them, and of streams that end before the final figure.
import { describe, expect, it } from "vitest";
import { StreamUsage, usageOfBody } from "../../../src/core/openai/token-usage.ts";

describe("the usage of a whole answer", () => {
  it.each([
    ["chat", { choices: [{}], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } }, [7, 3]],
    ["embeddings", { object: "list", data: [], usage: { prompt_tokens: 9, total_tokens: 9 } }, [9, 0]],
    ["a reranker", { results: [], usage: { total_tokens: 12 } }, [12, 0]],
    ["responses", { object: "response", usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 } }, [5, 2]],
    ["messages", { type: "message", usage: { input_tokens: 5, output_tokens: 2 } }, [5, 2]],
    ["images", { data: [], usage: { input_tokens: 50, output_tokens: 200, total_tokens: 250 } }, [50, 200]],
    ["a total and an answer", { usage: { total_tokens: 10, completion_tokens: 4 } }, [6, 4]],
    ["nothing generated", { usage: { prompt_tokens: 0, completion_tokens: 0 } }, [0, 0]],
  ])("of %s", (_kind, body, [prompt, completion]) => {
    expect(usageOfBody(body)).toEqual({ prompt, completion, estimated: false });
  });

  it.each([
    ["no usage", { choices: [] }],
    ["null", { usage: null }],
    ["a list", { usage: [1] }],
    ["seconds of audio", { text: "hi", usage: { type: "duration", seconds: 12 } }],
    ["no counts", { usage: { prompt_tokens: -1, completion_tokens: 1.5, total_tokens: "7" } }],
    ["counts over what is safe", { usage: { prompt_tokens: 2 ** 53 } }],
    ["another kind of body", "usage"],
    ["a body that is a list", [{ usage: { prompt_tokens: 1 } }]],
    ["no body", null],
  ])("is null for %s", (_kind, body) => {
    expect(usageOfBody(body)).toBeNull();
  });
});

/** A chat chunk with one delta, and the running usage that some servers add. */
function chunk(delta: object, usage?: object | null) {
  return { object: "chat.completion.chunk", choices: [{ index: 0, delta }], usage };
}

function seen(...events: unknown[]): StreamUsage {
  const usage = new StreamUsage();
  for (const event of events) usage.see(event);
  return usage;
}

describe("the usage of a stream", () => {
  it("is the final chunk's, whatever the deltas say", () => {
    const final = { choices: [], usage: { prompt_tokens: 20, completion_tokens: 5, total_tokens: 25 } };
    const usage = seen(chunk({ content: "a" }, null), chunk({ content: "b" }, null), final);
    expect(usage.isFinal).toBe(true);
    expect(usage.total(1_000)).toEqual({ prompt: 20, completion: 5, estimated: false });
  });

  it("is final too in a chunk without choices", () => {
    expect(seen({ usage: { prompt_tokens: 1, completion_tokens: 2 } }).total(0)).toEqual({
      prompt: 1,
      completion: 2,
      estimated: false,
    });
  });

  it("is the newest running one, and the deltas since, when the final one never came", () => {
    const usage = seen(
      chunk({ content: "a" }, { prompt_tokens: 20, completion_tokens: 2 }),
      chunk({ content: "b" }, { prompt_tokens: 20, completion_tokens: 4 }),
      chunk({ content: "c" }),
    );
    expect(usage.isFinal).toBe(false);
    expect(usage.total(1_000)).toEqual({ prompt: 20, completion: 5, estimated: true });
  });

  it("is one token a delta and a token for four bytes of prompt when the server tells nothing", () => {
    const usage = seen(
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "a" }),
      chunk({ reasoning_content: "b" }),
      chunk({ reasoning: "c" }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: "{" } }] }),
      chunk({ content: null, tool_calls: [] }),
      { choices: [{ index: 0, text: "d" }] },
      { choices: [{ index: 0, text: "", finish_reason: "stop" }] },
      "[DONE]",
      null,
    );
    expect(usage.total(401)).toEqual({ prompt: 101, completion: 5, estimated: true });
  });

  it("counts the deltas of each choice", () => {
    expect(
      seen({ choices: [{ delta: { content: "a" } }, { delta: { content: "b" } }, { delta: {} }] }).total(0),
    ).toEqual({ prompt: 0, completion: 2, estimated: true });
  });

  it("is the one that a response ends with", () => {
    const usage = seen(
      { type: "response.created", response: { usage: null } },
      { type: "response.output_text.delta", delta: "a" },
      { type: "response.output_text.delta", delta: "b" },
    );
    expect(usage.total(8)).toEqual({ prompt: 2, completion: 2, estimated: true });
    usage.see({ type: "response.completed", response: { usage: { input_tokens: 11, output_tokens: 3 } } });
    expect(usage.isFinal).toBe(true);
    expect(usage.total(8)).toEqual({ prompt: 11, completion: 3, estimated: false });
  });

  it("is put together from both ends of a messages stream", () => {
    const usage = seen(
      { type: "message_start", message: { usage: { input_tokens: 30, output_tokens: 1 } } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "a" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "b" } },
    );
    expect(usage.total(8)).toEqual({ prompt: 30, completion: 3, estimated: true });
    usage.see({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } });
    expect(usage.total(8)).toEqual({ prompt: 30, completion: 9, estimated: false });
  });

  it("is the one that a transcript ends with", () => {
    const usage = seen(
      { type: "transcript.text.delta", delta: "a" },
      { type: "transcript.text.done", text: "a", usage: { type: "tokens", input_tokens: 14, output_tokens: 4 } },
    );
    expect(usage.total(0)).toEqual({ prompt: 14, completion: 4, estimated: false });
  });

  it("is an estimate where the last word leaves the prompt out", () => {
    expect(seen({ choices: [], usage: { completion_tokens: 4 } }).total(8)).toEqual({
      prompt: 2,
      completion: 4,
      estimated: true,
    });
  });

  it("takes no count that is not a safe one", () => {
    const usage = seen(chunk({ content: "a" }), { choices: [], usage: { prompt_tokens: -4, completion_tokens: "9" } });
    expect(usage.isFinal).toBe(false);
    expect(usage.total(4)).toEqual({ prompt: 1, completion: 1, estimated: true });
  });
});
