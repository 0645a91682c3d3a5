// Regular expressions of schemas: the same verdict as the engine's own, and work that grows with the text alone.
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Matcher } from "../../../src/core/schema/pattern.ts";
import { PatternReader, PatternRefused } from "../../../src/core/schema/pattern-parser.ts";

const nothing = (): void => undefined;
const reader = () => new PatternReader({ states: 4_000, classes: 100, properties: 20 });

function matches(source: string, text: string): boolean {
  return new Matcher(reader().read(source), nothing).test(text);
}

/** What a run of the matcher spends. */
function workOf(source: string, text: string): number {
  let spent = 0;
  new Matcher(reader().read(source), (units) => {
    spent += units;
  }).test(text);
  return spent;
}

const USUAL = [
  "^[a-z0-9]+(?:-[a-z0-9]+)*$",
  "^https?://[^\\s/$.?#].[^\\s]*$",
  "^\\S+@\\S+\\.\\S+$",
  "\\.(png|jpe?g|webp)$",
  "^(\\([0-9]{3}\\))?[0-9]{3}-[0-9]{4}$",
  "^v?\\d+\\.\\d+\\.\\d+(-[\\w.]+)?$",
  "^#(?:[0-9a-fA-F]{3}){1,2}$",
  "^(?<year>\\d{4})-(?<month>\\d\\d)$",
  "^data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}$",
  "^\\p{L}[\\p{L}\\p{N} '-]*$",
  "^[^\\n\\r]*$",
  "\\bcat\\b",
  "\\Bcat",
  "^$|^.{3,}$",
  "",
  "a||b",
  "^(?:a?)*?b+?$",
  "[]",
  "[^]",
  "^\\u{1F600}+$",
  "^\\uD83D\\uDE00$",
  "^[\\u{1F600}-\\u{1F64F}]$",
  "\\x41\\cJ|\\0",
  "(?:^|,)a(?:,|$)",
  "^(?:(?:a{2}){2}){2}$",
  "x*",
  "(a*)*b",
  "^[\\]\\\\-]+$",
];
const TEXTS = [
  "",
  "a",
  "b",
  "ab",
  "aaab",
  "aaaaaaaa",
  "my-slug-2",
  "-x",
  "https://a.b/c",
  "me@x.org",
  "me@x",
  "cat.png",
  "CAT.jpg",
  "555-1234",
  "(888)555-1234",
  "1.2.3",
  "v1.2.3-rc.1",
  "#fff",
  "#ffff",
  "2026-11",
  "data:image/png;base64,AAA=",
  "Ünal",
  "a cat sat",
  "concat",
  "cat",
  "ab\ncd",
  "😀",
  "😀😀",
  "A\n",
  "\0",
  "a,b",
  "b,a,c",
  "]\\-",
  "\ud83d",
  "\u2028",
  "_cat_",
];

describe("a pattern", () => {
  it.each(USUAL)("gives the engine's own verdict for %s", (source) => {
    const own = new RegExp(source, "u");
    for (const text of TEXTS) expect([text, matches(source, text)]).toEqual([text, own.test(text)]);
  });

  it.each([
    "^[a-z]*$",
    "^(?:[a-z]|é)*$",
    "[0-9]$",
    "\\bend\\b",
    "^[^!]*!?$",
    "^(?:ab)*$",
    "^.*\\n[a-z]*$",
    "^a*b*[^]?$",
    "^(?:a\\u{1F600})*[^]?$",
  ])("gives it for long texts by %s", (source) => {
    const own = new RegExp(source, "u");
    for (const char of ["a", "ab", "abcdefghij", "é", "a😀"]) {
      const long = char.repeat(60_000 / char.length);
      for (const rare of ["", "!", "7", "é", "\n", " end ", "😀", "\ud83d"]) {
        for (const text of [long + rare, long + rare + long, rare + long, long + rare + long + rare]) {
          expect([rare, matches(source, text)]).toEqual([rare, own.test(text)]);
        }
      }
    }
  });

  it("gives it for 3,000 random expressions", () => {
    const atom = fc.constantFrom(
      "a",
      "b",
      "c",
      ".",
      "[ab]",
      "[^a]",
      "\\w",
      "\\W",
      "\\s",
      "\\d",
      "-",
      "\\u{1F600}",
      "\\n",
    );
    const place = fc.constantFrom("^", "$", "\\b", "\\B");
    const count = fc.constantFrom("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?", "{0}");
    const { tree } = fc.letrec<{ tree: string }>((tie) => ({
      tree: fc.oneof(
        { depthSize: "small" },
        atom,
        place,
        fc.tuple(tie("tree"), tie("tree")).map(([one, two]) => `${one}${two}`),
        fc.tuple(tie("tree"), tie("tree")).map(([one, two]) => `(?:${one}|${two})`),
        fc.tuple(tie("tree"), count).map(([one, times]) => `(${one})${times}`),
      ),
    }));
    // Without characters of two units, between which V8, but not the standard, looks for `\\B`.
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "-", " ", "1", "\n", "é", "_"), maxLength: 12 });
    void fc.assert(
      fc.property(tree, fc.array(text, { minLength: 5, maxLength: 5 }), (source, texts) => {
        const own = new RegExp(source, "u");
        for (const one of texts) expect([source, one, matches(source, one)]).toEqual([source, one, own.test(one)]);
      }),
      { numRuns: 3_000, seed: 14 },
    );
  });

  it("gives it for characters of two units, and halves of them that stand alone, wherever a piece of the text ends", () => {
    const source = fc.constantFrom("!", "\\u{1F600}", "\\u{1F600}a", "\\ud83d", "\\ude00", "^[^]*[\\udc00-\\udfff]$");
    const before = fc.tuple(fc.constantFrom("a", "é"), fc.constantFrom(0, 4_093, 4_094, 4_095, 4_096));
    const behind = fc.array(fc.constantFrom("a", "é", "!", "\ud83d", "\ude00", "😀"), { maxLength: 6 });
    void fc.assert(
      fc.property(source, before, behind, (expression, [char, count], rest) => {
        const text = char.repeat(count) + rest.join("");
        const own = new RegExp(expression, "u").test(text);
        expect([expression, count, rest, matches(expression, text)]).toEqual([expression, count, rest, own]);
      }),
      { numRuns: 3_000, seed: 16 },
    );
  });

  it.each([
    ["(?=a)b", "look ahead"],
    ["^(?!.*--)", "look ahead"],
    ["(?<=a)b", "look ahead or behind"],
    ["(a)\\1", "backreferences"],
    ["(?<x>a)\\k<x>", "backreferences"],
    ["a{1000000000}", "too many states"],
    ["((a{100}){100}){100}", "too many states"],
    ["(((((a?){9}){9}){9}){9}){9}", "too many states"],
    [`${"(".repeat(60)}a${")".repeat(60)}`, "too many groups"],
    ["x".repeat(501), "at most 500 characters"],
    ["[", "is no regular expression"],
    ["^\\d{3}\\-\\d$", "is no regular expression in Unicode mode"],
  ])("is refused as %s", (source, why) => {
    expect(() => reader().read(source)).toThrow(PatternRefused);
    expect(() => reader().read(source)).toThrow(why);
  });

  it("takes an empty group a billion times", () => {
    expect(matches("^(?:){1000000000}a$", "a")).toBe(true);
  });

  it.each([
    ["^(a+)+$", "a"],
    ["^(a|a)*$", "a"],
    ["^(.*)*.*.*x$", "a"],
    ["\\s+$", " "],
    ["(?:a*)*(?:a*)*b", "a"],
    ["^(([a-z])+.)+[A-Z]([a-z])+$", "a"],
  ])("needs work that grows with the text alone for %s", (source, char) => {
    const long = workOf(source, `${char.repeat(100_000)}!`);
    expect(long).toBeLessThan(30_000);
    expect(long / workOf(source, `${char.repeat(10_000)}!`)).toBeLessThan(11);
  });
});
