// The text of an error within its bound: JSON stays JSON, other text is cut between two characters.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cutToBytes, utf8Length } from "../../../src/core/bytes/utf8.ts";
import { boundErrorText } from "../../../src/core/job/error-text.ts";
import { failedWithStatus, runpodText } from "../../../src/core/job/failure.ts";
import { ERROR_FIELD_KEPT_CHARS, ERROR_TEXT_MAX_BYTES } from "../../../src/core/limits.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";

/** What RunPod's SDK reports of a handler that has raised. */
const REPORT = {
  error_type: "<class 'ValueError'>",
  error_message: "boom é",
  error_traceback: "Traceback (most recent call last):\nValueError: boom é\n",
  hostname: "wk1-host",
  worker_id: "wk1",
  runpod_version: "1.12.0",
};

/** The value of a bounded text, once it is seen to be within the bound. */
function readBounded(text: string): Record<string, unknown> {
  const bounded = boundErrorText(text);
  expect(utf8Length(bounded)).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
  return JSON.parse(bounded);
}

describe("a text of up to 32 KiB", () => {
  it.each(["", "boom", JSON.stringify(REPORT), ' {"a" : 1.0 }', '{"cut', "x".repeat(ERROR_TEXT_MAX_BYTES)])(
    "stays as it is",
    (text) => expect(boundErrorText(text)).toBe(text),
  );

  it("is measured in bytes", () => {
    const full = "é".repeat(ERROR_TEXT_MAX_BYTES / 2);
    expect(boundErrorText(full)).toBe(full);
    expect(boundErrorText(`${full}x`)).toBe(full);
  });
});

describe("a longer text", () => {
  it("is cut between two characters", () => {
    for (const char of ["x", "é", "€", "😀"])
      for (let before = 0; before < 4; before += 1) {
        const text = "-".repeat(before) + char.repeat(ERROR_TEXT_MAX_BYTES);
        const cut = boundErrorText(text);
        expect(text.startsWith(cut)).toBe(true);
        expect(cut.isWellFormed()).toBe(true);
        expect(utf8Length(cut)).toBeGreaterThan(ERROR_TEXT_MAX_BYTES - 4);
        expect(utf8Length(cut)).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
      }
  });

  it.each(["[ERROR] ", "{'message': '", '{"a":1} and ', "handler: {"])(
    "that only begins like JSON is cut as well: %s",
    (start) => {
      const text = start + "x".repeat(40_000);
      expect(boundErrorText(text)).toBe(text.slice(0, ERROR_TEXT_MAX_BYTES));
    },
  );
});

describe("a longer text of JSON", () => {
  it("keeps all members, with the end of what shows the failure and the beginning of the rest", () => {
    const long = "y€😀".repeat(7_000);
    const shown = readBounded(
      JSON.stringify({
        ...REPORT,
        error_message: `first ${long}`,
        error_traceback: `${long} last`,
        logs: `${long} end of logs`,
        nested: { stack_trace: `${long} end of stack`, message: `inner ${long}` },
      }),
    );
    expect(shown).toMatchObject({ error_type: REPORT.error_type, hostname: "wk1-host", runpod_version: "1.12.0" });
    expect(Object.keys(shown)).toEqual([...Object.keys(REPORT), "logs", "nested"]);
    expect(shown.error_message).toMatch(/^first y/);
    expect(shown.error_traceback).toMatch(/ last$/);
    expect(shown.logs).toMatch(/ end of logs$/);
    expect(shown.nested).toMatchObject({
      stack_trace: expect.stringMatching(/ end of stack$/),
      message: expect.stringMatching(/^inner /),
    });
    expect(JSON.stringify(shown).isWellFormed()).toBe(true);
    expect(JSON.stringify(shown)).not.toContain("\\ud");
  });

  it("loses no more than it must: a report of 70 KB keeps 28,000 characters of its logs", () => {
    const shown = readBounded(JSON.stringify({ ...REPORT, logs: "x".repeat(70_000) }));
    expect(shown).toMatchObject({ ...REPORT, logs: "x".repeat(28_000) });
  });

  it("is read where its end was cut away before", () => {
    const text = JSON.stringify({ ...REPORT, output: "x".repeat(200_000), tail: "gone" });
    const shown = readBounded(text.slice(0, ERROR_FIELD_KEPT_CHARS));
    expect(shown).toMatchObject({ ...REPORT, output: expect.stringMatching(/^x{20000}/) });
  });

  it("keeps its short members where it has too many, and the last lines of its logs", () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`field_${at}`, `value ${at}`]));
    expect(readBounded(JSON.stringify({ ...many, event: "x", __proto__: null }))).toMatchObject({ event: "x" });
    const logs = Array.from({ length: 5_000 }, (_, at) => `line ${at}`);
    const shown = readBounded(JSON.stringify({ logs, ...REPORT }));
    expect(shown).toMatchObject(REPORT);
    expect(shown.logs).toEqual(logs.slice(-(shown.logs as string[]).length));
    expect((shown.logs as string[]).length).toBeGreaterThan(1_500);
    expect(readBounded(JSON.stringify(logs))).toEqual(logs.slice(0, Object(readBounded(JSON.stringify(logs))).length));
    expect(readBounded(JSON.stringify({ error: { ...many, code: 7 } }))).toMatchObject({ error: { code: 7 } });
  });

  it("keeps a text of JSON within it readable, too", () => {
    const inner = JSON.stringify({ code: 7, detail: "boom", logs: `${"x".repeat(60_000)} end` });
    const shown = readBounded(JSON.stringify({ ...REPORT, error_message: inner, list: [inner] }));
    for (const text of [shown.error_message, Object(shown.list)[0]])
      expect(JSON.parse(text)).toEqual({ code: 7, detail: "boom", logs: expect.stringMatching(/^x{5000,} end$/) });
    const short = '{"a": 1.0}';
    expect(readBounded(JSON.stringify({ short, logs: "x".repeat(70_000) }))).toMatchObject({ short });
    const broken = readBounded(JSON.stringify({ error_message: `{"a": ${"x".repeat(60_000)}` }));
    expect(broken.error_message).toMatch(/^\{"a": x{20000}/);
  });

  it("keeps the last lines of logs and the last frames of a traceback that are JSON in a text", () => {
    const lines = Array.from({ length: 4_000 }, (_, at) => `line ${at}`);
    const report = { ...REPORT, error_traceback: JSON.stringify({ frames: lines }), logs: JSON.stringify(lines) };
    for (const maxBytes of [ERROR_TEXT_MAX_BYTES, 2_048]) {
      const shown: typeof report = JSON.parse(boundErrorText(JSON.stringify(report), maxBytes));
      expect(JSON.parse(shown.logs).at(-1)).toBe("line 3999");
      expect(JSON.parse(shown.error_traceback).frames.at(-1)).toBe("line 3999");
    }
  });

  it("keeps the beginning of a text of JSON that has too many levels", () => {
    const response = `${'{"a":'.repeat(20)}"${"x".repeat(60_000)}"${"}".repeat(20)}`;
    expect(readBounded(JSON.stringify({ response })).response).toBe(response.slice(0, 28_000));
  });

  it("keeps its short members, however long the name of another one is", () => {
    expect(readBounded(JSON.stringify({ ["n".repeat(40_000)]: 1, message: "hi" }))).toEqual({ message: "hi" });
  });

  it("is JSON whatever it holds, whole or cut", () => {
    const value = fc.jsonValue({ maxDepth: 6, stringUnit: "binary" });
    fc.assert(
      fc.property(fc.array(value, { maxLength: 20 }), fc.integer({ min: 20, max: 400 }), (values, maxBytes) => {
        const text = JSON.stringify({ values, more: values });
        const bounded = boundErrorText(text, maxBytes);
        expect(utf8Length(bounded)).toBeLessThanOrEqual(maxBytes);
        expect(() => JSON.parse(bounded)).not.toThrow();
      }),
      { numRuns: 500 },
    );
  });

  it("is shortened in no time, however deep or full it is", () => {
    const texts = [
      "[".repeat(65_000) + "]".repeat(65_000),
      JSON.stringify(Array.from({ length: 16_000 }, (_, at) => ({ at }))),
      `{"a":${'{"b":['.repeat(30)}"${"x".repeat(90_000)}"${"]}".repeat(30)}}`,
      `${'{"a":'.repeat(20_000)}`,
      `${" ".repeat(ERROR_FIELD_KEPT_CHARS)}x`,
      JSON.stringify({ a: JSON.stringify(Array.from({ length: 12_000 }, (_, at) => ({ at }))) }),
      JSON.stringify({ a: JSON.stringify(JSON.stringify({ a: '"'.repeat(9_000) })) }),
      JSON.stringify(Array.from({ length: 1_000 }, () => JSON.stringify({ message: "x".repeat(60) }))),
      JSON.stringify({ a: "\u0001".repeat(20_000), logs: "\ud800".repeat(20_000) }),
    ];
    for (const text of texts)
      expect(
        cpuMsOf(() => void boundErrorText(text)),
        text.slice(0, 20),
      ).toBeLessThan(200);
    for (const text of texts) expect(utf8Length(boundErrorText(text))).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
  });
});

it("an upstream's status and its answer are within the bound together, and the answer stays JSON", () => {
  const answer = JSON.stringify({ error: { message: "x".repeat(50_000) } });
  const text = runpodText(failedWithStatus(400, answer), 1);
  expect(utf8Length(text)).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
  expect(JSON.parse(text.replace("the upstream answered 400: ", ""))).toMatchObject({ error: {} });
  const plain = runpodText(failedWithStatus(400, "x".repeat(50_000)), 1);
  expect(plain.length).toBe(ERROR_TEXT_MAX_BYTES);
});

it("a text is cut to bytes as a decoder would read them", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 40 }), fc.nat(60), (text, maxBytes) => {
      const cut = cutToBytes(text, maxBytes);
      expect(text.startsWith(cut)).toBe(true);
      expect(utf8Length(cut)).toBeLessThanOrEqual(maxBytes);
      if (cut !== text) expect(utf8Length(cut)).toBeGreaterThan(maxBytes - 4);
    }),
  );
});
