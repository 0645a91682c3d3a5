// Usage is asked for without a change to anything else, whatever the body holds.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { memberText } from "../../../src/core/json/text.ts";
import { askForUsage } from "../../../src/core/openai/stream-options.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";
import { readJson } from "../json/read-json.ts";

describe("a request that does not ask for usage", () => {
  it.each([
    ["has no options", '{"stream":true}', '{"stream_options":{"include_usage":true},"stream":true}'],
    ["is empty", "{}", '{"stream_options":{"include_usage":true}}'],
    ["begins with white space", ' \n{ "a": 1.0 }', ' \n{"stream_options":{"include_usage":true}, "a": 1.0 }'],
    ["has no option set", '{"stream_options": {} }', '{"stream_options": {"include_usage":true} }'],
    [
      "has other options",
      '{"stream_options":{ "continuous_usage_stats":true}}',
      '{"stream_options":{"include_usage":true, "continuous_usage_stats":true}}',
    ],
    ["says no", '{"stream_options":{"include_usage": false}}', '{"stream_options":{"include_usage": true}}'],
    [
      "says nothing",
      '{"stream_options":{"include_usage":null,"b":1}}',
      '{"stream_options":{"include_usage":true,"b":1}}',
    ],
    ["has no value there", '{"stream_options":null,"a":1}', '{"stream_options":{"include_usage":true},"a":1}'],
    [
      "says it twice",
      '{"stream_options":{"include_usage":true},"stream_options":{}}',
      '{"stream_options":{"include_usage":true},"stream_options":{"include_usage":true}}',
    ],
    [
      "says yes, then no",
      '{"stream_options":{"include_usage":true,"include_usage":false}}',
      '{"stream_options":{"include_usage":true,"include_usage":true}}',
    ],
    [
      "writes the names with escapes",
      '{"stream\\u005foptions":{"include\\u005fusage":false}}',
      '{"stream\\u005foptions":{"include\\u005fusage":true}}',
    ],
    [
      "has it only deeper, or in a text",
      '{"a":{"stream_options":{"include_usage":true}},"b":"\\"stream_options\\":{\\"include_usage\\":true}"}',
      '{"stream_options":{"include_usage":true},"a":{"stream_options":{"include_usage":true}},"b":"\\"stream_options\\":{\\"include_usage\\":true}"}',
    ],
    [
      "has the flag only deeper in its options",
      '{"stream_options":{"x":{"include_usage":true}}}',
      '{"stream_options":{"include_usage":true,"x":{"include_usage":true}}}',
    ],
  ])("asks after the change: one that %s", (_kind, body, expected) => {
    expect(askForUsage(body)).toEqual({ body: expected, added: true });
  });
});

it.each([
  ["asks already", '{"stream_options":{"include_usage":true},"stream":true}'],
  ["asks already among others", '{"a":"}","stream_options" : { "x" : [1,{}] , "include_usage" : true } }'],
  ["has options of another kind, which the server refuses", '{"stream_options":[true]}'],
  ["is a list", '[{"stream_options":{}}]'],
  ["is a text", '"{"'],
  ["is empty", ""],
])("a request stays as it is when it %s", (_kind, body) => {
  expect(askForUsage(body)).toEqual({ body, added: false });
});

/** Two members of a request as a reader of it would take them. */
function flagsOf(body: string): { readonly stream: boolean; readonly model: string | null } {
  const model = memberText(body, "model");
  const isText = model?.startsWith('"') === true;
  return { stream: memberText(body, "stream") === "true", model: isText ? JSON.parse(model) : null };
}

describe("the members of a request", () => {
  it.each([
    ['{"model":"m","stream":true}', true, "m"],
    ['{"stream":false,"model":"é\\n"}', false, "é\n"],
    ['{"stream":true,"stream":false,"model":"a","model":"b"}', false, "b"],
    ['{"messages":[{"stream":true,"model":"x"}]}', false, null],
    ['{"stream":1,"model":7}', false, null],
    ['{"stream":"true","model":null}', false, null],
    ["[]", false, null],
    ["", false, null],
  ])("of %s", (body, stream, model) => {
    expect(flagsOf(body)).toEqual({ stream, model });
  });
});

/** Any JSON, with the names and texts that could fool a search strewn in. */
const trap = fc.constantFrom(
  "stream_options",
  "include_usage",
  '"stream_options":{',
  "}",
  "\\",
  '\\"',
  "model",
  "stream",
  "é",
);
const name = fc.oneof(trap, fc.string()).filter((text) => text !== "__proto__");
const { value: anyJson } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(trap, fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(name, tie("value"), { maxKeys: 4 }),
  ),
}));
const request = fc.dictionary(name, anyJson, { maxKeys: 6 });
const indent = fc.constantFrom(undefined, 1, "\t");
const objectSchema = z.record(z.string(), z.unknown());

describe("any request", () => {
  it("equals the original with the flag", () => {
    const check = fc.property(request, indent, (value, space) => {
      const original = JSON.stringify(value, null, space);
      const { body, added } = askForUsage(original);
      const expected = objectSchema.parse(readJson(original));
      const options = objectSchema.safeParse(expected.stream_options ?? {});
      if (options.success) {
        expect(added).toBe(options.data.include_usage !== true);
        expected.stream_options = { ...options.data, include_usage: true };
      } else expect(added).toBe(false);
      expect(readJson(body)).toEqual(expected);
      if (!added) expect(body).toBe(original);
      expect(askForUsage(body)).toEqual({ body, added: false });
    });
    fc.assert(check, { numRuns: 2_000 });
  });

  it("has the members that a parser finds", () => {
    const check = fc.property(request, indent, (value, space) => {
      const body = JSON.stringify(value, null, space);
      const { stream, model } = objectSchema.parse(readJson(body));
      expect(flagsOf(body)).toEqual({
        stream: stream === true,
        model: typeof model === "string" ? model : null,
      });
    });
    fc.assert(check, { numRuns: 2_000 });
  });

  it("that is broken anywhere is read without an error", () => {
    const check = fc.property(request, fc.nat(400), fc.string({ maxLength: 3 }), (value, at, junk) => {
      const body = JSON.stringify(value);
      const broken = body.slice(0, at) + junk;
      expect(() => [askForUsage(broken), memberText(broken, "model")]).not.toThrow();
    });
    fc.assert(check, { numRuns: 2_000 });
  });

  it("is read in time that grows with its length alone", () => {
    const hostile = `{"a":"${"\\\\".repeat(2_000_000)}","b":"${'\\"'.repeat(2_000_000)}","c":${"[".repeat(500_000)}${"]".repeat(500_000)}}`;
    const tookMs = cpuMsOf(() => {
      expect(askForUsage(hostile).added).toBe(true);
      expect(memberText(hostile, "model")).toBeNull();
    });
    expect(tookMs).toBeLessThan(2_000);
  });
});
