// What is read of an event that is too large to be held: its beginning and its end, in whatever pieces it comes.
import { describe, expect, it } from "vitest";
import { PassedEvent } from "../../../src/core/openai/passed-event.ts";

const LARGE = "x".repeat(100_000);
const ITEMS = JSON.stringify(Array(20_000).fill({ type: "item", n: [1] }));

function read(text: string, pieceBytes = 10_000): ReturnType<PassedEvent["read"]> {
  const bytes = new TextEncoder().encode(text);
  const passed = new PassedEvent();
  for (let at = 0; at < bytes.length; at += pieceBytes) passed.push(bytes.slice(at, at + pieceBytes));
  return passed.read();
}

const valueIn = (data: string) => read(`data: ${data}\n\n`).value;

describe("a large event", () => {
  it.each([1_000, 33_333, 10_000_000])(
    "is read without the middle of its large text, in pieces of %i bytes",
    (size) => {
      const { event, value } = read(`event: a\r\ndata: {"a":1,"b":{"c":"${LARGE}"},"d":2}\r\n\r\n`, size);
      expect(event.name).toBe("a");
      expect(value).toEqual({ a: 1, b: { c: expect.stringMatching(/^x{30000,}…x{10000,}$/) }, d: 2 });
    },
  );

  it("is read wherever the parts cut an escape or a character", () => {
    for (const part of ['\\"', "\\\\", "\\u00e9", "\\ud83d\\ude00", "😀"]) {
      for (let shift = 0; shift < 12; shift += 1) {
        const value = valueIn(`{"a":"${"x".repeat(shift)}${part.repeat(20_000)}","d":2}`);
        expect(value).toEqual({ a: expect.any(String), d: 2 });
      }
    }
  });

  it("has its type, and the usage of its response, on both sides of many values", () => {
    const usage = { output_tokens: 2 };
    const response = `{"error":null,"output":${ITEMS},"usage":${JSON.stringify(usage)}}`;
    expect(valueIn(`{"type":"response.completed","response":${response}}`)).toMatchObject({
      type: "response.completed",
      response: { error: null, usage },
    });
  });

  it("has the finish_reason of its choice behind many values", () => {
    const choice = `{"index":1,"delta":{"content":"a"},"logprobs":{"content":${ITEMS}},"finish_reason":"stop"}`;
    expect(valueIn(`{"choices":[${choice}],"usage":{"completion_tokens":2}}`)).toMatchObject({
      choices: [{ index: 1, delta: { content: "a" }, finish_reason: "stop" }],
      usage: { completion_tokens: 2 },
    });
  });

  it.each([
    [
      "within a text, behind a bracket of it",
      `{"choices":[{"finish_reason":"stop","delta":{"content":"${"{ } ".repeat(30_000)}}`,
    ],
    [
      "between members",
      `{"type":"response.completed","response":{"output":${ITEMS},"tool":{"usage":{"output_tokens":9}}`,
    ],
    ["behind one of its items", `{"type":"response.completed","response":{"output":${ITEMS.slice(0, -1)}`],
  ])("has no value where it is cut %s", (_where, data) => {
    expect(valueIn(data)).toBe(undefined);
  });

  it("has no value where it is several", () => {
    const lines = Array.from({ length: 20_000 }, (_, at) =>
      JSON.stringify({ at, error: at % 7 === 1 ? "again" : null }),
    );
    expect(read(`${lines.join("\n")}\n\n`)).toMatchObject({ event: { data: null }, value: undefined });
    expect(JSON.stringify(read(`${lines.join("\n")}\n\n`).event).length).toBeGreaterThan(30_000);
    expect(read(`data: ${lines.join("\ndata: ")}\n\n`).value).toBe(undefined);
  });

  it("does not take the finish_reason of another list for that of its choice", () => {
    const other = `"results":[${ITEMS.slice(1, -1)},{"finish_reason":"stop"}]`;
    const value = valueIn(`{"choices":[{"index":0,"delta":{},"finish_reason":null}],${other}}`);
    expect(value).toMatchObject({ choices: [{ index: 0, finish_reason: null }] });
  });

  it("has its choices, its type and its usage in its end alone", () => {
    const end = '"type":"t","choices":[],"usage":{"completion_tokens":2}';
    expect(valueIn(`{"extra":${ITEMS},${end}}`)).toMatchObject({
      type: "t",
      choices: [],
      usage: { completion_tokens: 2 },
    });
  });

  it("has the error of its response behind many values", () => {
    const data = `{"type":"response.failed","response":{"output":${ITEMS},"error":{"message":"boom"}}}`;
    expect(valueIn(data)).toMatchObject({ type: "response.failed", response: { error: { message: "boom" } } });
  });

  it("has no usage that was cut within its number", () => {
    const usage = { completion_tokens: 1_234_567_890 };
    for (let padding = 32_690; padding < 32_730; padding += 1) {
      const data = `{"a":"${"x".repeat(padding)}","usage":${JSON.stringify(usage)},"extra":${ITEMS}}`;
      expect([usage, {}, undefined]).toContainEqual(Object(valueIn(data)).usage);
    }
  });

  it("has its first members though very many brackets are open where it is cut", () => {
    const deep = `${"[".repeat(30)}${ITEMS}${"]".repeat(30)}`;
    expect(valueIn(`{"type":"response.completed","deep":${deep}}`)).toMatchObject({ type: "response.completed" });
  });

  it("has its name for a type where that is in neither part", () => {
    const { value } = read(`event: response.done\ndata: {"a":${ITEMS},"type":"x","b":${ITEMS}}\n\n`);
    expect(value).toMatchObject({ type: "response.done" });
  });

  it.each([
    ["that is cut off", `{"type":"response.completed","a":"${LARGE}`],
    ["that is a text", LARGE],
    ["that only ends like JSON", `${LARGE}}`],
  ])("%s has no value", (_what, data) => {
    expect(valueIn(data)).toBeUndefined();
  });

  it("of comments has neither data nor a value", () => {
    expect(read(`: {"error":"${LARGE}"}\n\n`)).toMatchObject({ event: { data: null, unframed: "" }, value: undefined });
  });

  it("without a frame is still JSON", () => {
    const { event } = read(`{"error":{"message":"boom","logs":"${LARGE}"}}\n\n`);
    expect(JSON.parse(event.unframed)).toMatchObject({ error: { message: "boom" } });
  });
});
