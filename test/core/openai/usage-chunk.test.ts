// A client that did not ask for usage sees the bytes that it would have got.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isUsageChunk, withoutNullUsage } from "../../../src/core/openai/usage-chunk.ts";
import { readJson } from "../json/read-json.ts";

describe("a usage chunk", () => {
  const usage = { prompt_tokens: 1, completion_tokens: 2 };

  it.each([
    ["has no choice", { choices: [], usage }],
    ["has no choices at all", { object: "chat.completion.chunk", usage }],
    ["may say so by null", { choices: null, usage }],
  ])("%s", (_rule, value) => {
    expect(isUsageChunk(value)).toBe(true);
  });

  it.each([
    ["a chunk with a choice and running usage", { choices: [{ delta: {} }], usage }],
    ["a chunk without usage", { choices: [] }],
    ["a chunk whose usage is null", { choices: [], usage: null }],
    ["an error", { error: { message: "no" } }],
    ["[DONE]", "[DONE]"],
    ["nothing", null],
  ])("is not %s", (_kind, value) => {
    expect(isUsageChunk(value)).toBe(false);
  });
});

describe("a usage of null", () => {
  it.each([
    ["first", '{"usage":null,"id":1}', '{"id":1}'],
    ["in the middle", '{"id":1,"usage":null,"choices":[]}', '{"id":1,"choices":[]}'],
    ["last", '{"id":1,"usage":null}', '{"id":1}'],
    ["alone", '{"usage":null}', "{}"],
    ["with white space", '{ "id": 1.0 ,\n "usage" : null , "a": 2 }', '{ "id": 1.0  , "a": 2 }'],
    ["behind a text that ends with a backslash", '{"a":"\\\\","usage":null}', '{"a":"\\\\"}'],
  ])("is taken out where it stands %s", (_place, text, expected) => {
    expect(withoutNullUsage(text)).toBe(expected);
  });

  it.each([
    ['{"usage":{"prompt_tokens":1}}'],
    ['{"content":"{\\"usage\\":null}"}'],
    ['{"content":",\\"usage\\":null,"}'],
    ['{"a\\"usage":null}'],
    ['{"{,usage":null}'],
    ['{"a":["usage",null],"usage2":null}'],
    ['{"choices":[]}'],
  ])("is all that is looked for: %s stays", (text) => {
    expect(withoutNullUsage(text)).toBe(text);
  });

  it("is the only member that goes, whatever the texts around it say", () => {
    const hostile = fc.array(fc.constantFrom('"usage":null', "{", ",", '"', "\\", "usage", ":null", "é"), {
      maxLength: 6,
    });
    const texts = hostile.map((parts) => parts.join(""));
    const names = fc.oneof(texts, fc.constantFrom("usage", "id"));
    const chunk = fc.dictionary(names, fc.oneof(texts, fc.constant(null)));
    const check = fc.property(chunk, fc.constantFrom(undefined, 1), (value, indent) => {
      const { usage, ...others } = value;
      const kept = usage === null ? others : value;
      expect(readJson(withoutNullUsage(JSON.stringify(value, null, indent)))).toEqual({ ...kept });
    });
    fc.assert(check, { numRuns: 2_000 });
  });
});
