// What stood before a cut can be read again.
import { expect, it } from "vitest";
import { closeCut } from "../../../src/core/openai/cut-text.ts";

/** The first text of those that a JSON text may be read by which is one. */
function readCut(text: string): unknown {
  for (const candidate of closeCut(text)) {
    try {
      return JSON.parse(candidate);
    } catch {}
  }
  return undefined;
}

it("keeps every member that was whole, wherever the text is cut", () => {
  const text = '{"a":"it\'s \\u00e9 {","b":{"c":[1,"}"],"d":null},"e":"\\"\\\\"}';
  const end = text.length - 1;
  for (let at = text.indexOf(',"b"'); at <= end; at += 1)
    expect(readCut(text.slice(0, at))).toHaveProperty("a", "it's é {");
  for (let at = text.indexOf(',"e"'); at <= end; at += 1) {
    expect(readCut(text.slice(0, at))).toHaveProperty("b", { c: [1, "}"], d: null });
  }
});

it("keeps the part of a text before the cut, without half of an escape", () => {
  for (const cut of ["é", "é\\", "é\\u", "é\\u00e", "é\\x", "é\\U0001f60"])
    expect(readCut(`{"a":"${cut}`)).toEqual({ a: "é" });
});

it("keeps an escape that is whole before the cut", () => {
  const whole = { "\\u00e9": "é", "\\\\": "\\", '\\"': '"', "\\\\u00": "\\u00", "\\\\\\n": "\\\n" };
  for (const [raw, text] of Object.entries(whole)) expect(readCut(`{"a":"b${raw}`)).toEqual({ a: `b${text}` });
});

it.each(["", "boom", "{}", '{"a":1}', "[".repeat(17)])("has nothing to close in %j", (text) => {
  expect(closeCut(text)).toEqual([]);
});
