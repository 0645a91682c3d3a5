// Secrets in what somebody else says: found in every form and wherever a piece ends, and nothing else is touched or held up.

import { describe, expect, it } from "vitest";
import { blankText, SecretBlanker, SecretForms } from "../../../src/core/access/secret-forms.ts";
import { cpuMsOf } from "../../support/cpu-time.ts";

const SECRET = 'sk-Ab/9"+x_Yz77';
const encoder = new TextEncoder();
const decoder = new TextDecoder();

function blank(text: string, secrets: readonly string[] = [SECRET]): string {
  const forms = new SecretForms(secrets);
  const shown = decoder.decode(forms.blankBytes(encoder.encode(text)));
  expect(forms.blankText(text)).toBe(shown);
  return shown;
}

describe("a secret", () => {
  it("may be as long as the environment of workers, whose 65,536 characters are up to three bytes each", () => {
    const long = "01234 6789".repeat(19_660);
    for (const text of [long, btoa(`x${long}`)]) {
      const shown = blank(`before ${text} after`, [long]);
      expect(shown.replace(/\*{196600,}/, "***")).toMatch(/^before .{0,2}\*\*\*.{0,4} after$/);
    }
  });

  it.each([
    ["as it is", SECRET],
    ["in JSON", JSON.stringify({ error: SECRET })],
    ["in JSON that escapes slashes", JSON.stringify({ error: SECRET }).replaceAll("/", "\\/")],
    ["in a URL", `https://h.example/?x=${encodeURIComponent(SECRET)}`],
    ["in a URL with escapes in lower case", encodeURIComponent(SECRET).replace(/%../g, (code) => code.toLowerCase())],
    ["in a URL that keeps slashes", encodeURIComponent(SECRET).replaceAll("%2F", "/")],
    ["in JSON as .NET writes it", JSON.stringify({ error: SECRET }).replaceAll("+", "\\u002B")],
    ["in JSON with escapes in lower case", JSON.stringify({ error: SECRET }).replaceAll("+", "\\u002b")],
    ["behind its scheme", `{'Authorization': 'Bearer ${SECRET}'}`],
    ["in base64", btoa(SECRET)],
    ["in base64 behind one byte", btoa(`x${SECRET}y`)],
    ["in base64 behind two bytes", btoa(`xx${SECRET}yy`)],
    ["as a password in base64", `Basic ${btoa(`user:${SECRET}`)}`],
    ["in base64 of a URL", btoa(`Bearer ${SECRET}`).replaceAll("+", "-").replaceAll("/", "_")],
  ])("is blanked %s, byte for byte", (_how, text) => {
    const shown = blank(text);
    expect(shown).toHaveLength(text.length);
    expect(shown).toMatch(/\*{8}/);
    // At most the characters stay that a neighbour decides, too.
    const left = [...shown].filter((char, at) => char === text[at]).join("");
    for (const form of [SECRET, JSON.stringify(SECRET).slice(1, -1), encodeURIComponent(SECRET)]) {
      for (let at = 0; at + 5 <= form.length; at += 1) expect(left).not.toContain(form.slice(at, at + 5));
    }
  });

  it("is blanked as often as it comes", () => {
    const stars = "*".repeat(12);
    expect(blank("abcdefgh1234 abcdefgh1234abcdefgh1234", ["abcdefgh1234"])).toBe(`${stars} ${stars}${stars}`);
  });

  it("within another one leaves nothing of the longer standing", () => {
    expect(blank("x abcdefghXYZW12 y", ["abcdefgh", "abcdefghXYZW12"])).toBe(`x ${"*".repeat(14)} y`);
  });

  it.each([
    ["AAAABBBBCCCCDDDDEE", ["AAAABBBBCCCC", "CCCCDDDDEE"], "*".repeat(18)],
    ["AAAABBBBCCCCDDDDEE", ["CCCCDDDDEE", "AAAABBBBCCCC"], "*".repeat(18)],
    ["x AAAABBBBCCCCDDDDEEEEFF y", ["AAAABBBBCC", "CCCCDDDDEE", "DDEEEEFF"], `x ${"*".repeat(22)} y`],
    ["x abcabcabcabcab y", ["abcabcabcab"], `x ${"*".repeat(14)} y`],
    ["x aaaaaaaaaaa y", ["aaaaaaaa"], `x ${"*".repeat(11)} y`],
    ["AAAABBBB\\/CC\\/DDEE", ["AAAABBBB/CC", "/CC/DDEE"], "*".repeat(18)],
    ["x abcdefgh********ij y", ["abcdefgh", "********ij"], `x ${"*".repeat(18)} y`],
  ])("that overlaps another, or itself, leaves nothing of either standing: %s", (text, secrets, shown) => {
    expect(blank(text, secrets)).toBe(shown);
  });

  it("of a name with its scheme is found without it", () => {
    expect(blank("token abcdefgh1234", ["Bearer abcdefgh1234"])).toBe(`token ${"*".repeat(12)}`);
  });

  it("of letters beyond ASCII is found, too", () => {
    const forms = new SecretForms(["pässwörter"]);
    expect(decoder.decode(forms.blankBytes(encoder.encode("<pässwörter>")))).toBe(`<${"*".repeat(12)}>`);
  });

  it("of under eight characters is left alone: it would be found in words that are none", () => {
    expect(new SecretForms(["EMPTY", "token", ""]).isEmpty).toBe(true);
    expect(blank("an EMPTY token", ["EMPTY", "token"])).toBe("an EMPTY token");
  });
});

describe("text without the secret", () => {
  it("is the very same bytes", () => {
    const forms = new SecretForms([SECRET]);
    const bytes = encoder.encode(`${SECRET.slice(0, -1)} ${SECRET.slice(1)} sk-Ab/9`);
    expect(forms.blankBytes(bytes)).toBe(bytes);
  });
});

describe("a stream", () => {
  const text = `before ${SECRET}${SECRET} between ${btoa(`user:${SECRET}`)} sk-Ab sk-A${SECRET} after sk-Ab/9`;
  const whole = blank(text);

  it("cut anywhere, into any pieces, comes out as the whole would", () => {
    const bytes = encoder.encode(text);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (const size of [1, 2, 3, 7, 16, bytes.length]) {
        const blanker = new SecretBlanker(new SecretForms([SECRET]));
        let shown = decoder.decode(blanker.push(bytes.subarray(0, first)));
        for (let at = first; at < bytes.length; at += size) {
          shown += decoder.decode(blanker.push(bytes.slice(at, at + size)));
        }
        expect(shown + decoder.decode(blanker.end())).toBe(whole);
      }
    }
  });

  it.each([
    ["x abcdefgh1234ijklmnop y abcdefgh1234 1234ijklmnop z", ["abcdefgh1234", "1234ijklmnop"]],
    ["x AAAABBBBCCCCDDDDEEEEFF y", ["AAAABBBBCC", "CCCCDDDDEE", "DDEEEEFF"]],
    ["x abcdefghXYZW12 abcdefghXYZW1 y", ["abcdefgh", "abcdefghXYZW12"]],
    ["x 12abcdefghXYZW 2abcdefghXYZW y", ["abcdefgh", "12abcdefghXYZW"]],
    ["x aaaaaaaaaaa y", ["aaaaaaaa"]],
  ])("of secrets that overlap comes out as the whole would, wherever it is cut: %s", (overlapping, secrets) => {
    const bytes = encoder.encode(overlapping);
    const forms = new SecretForms(secrets);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= bytes.length; second += 1) {
        const blanker = new SecretBlanker(forms);
        const cuts = [bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second)];
        const pieces = [...cuts.map((piece) => blanker.push(piece).slice()), blanker.end()];
        expect(pieces.map((piece) => decoder.decode(piece)).join("")).toBe(blank(overlapping, secrets));
      }
    }
  });

  it("is held up by nothing but what may be the beginning of the secret", () => {
    const blanker = new SecretBlanker(new SecretForms([SECRET]));
    const event = 'data: {"choices":[{"delta":{"content":"sk-Ab"}}]}\n\n';
    expect(decoder.decode(blanker.push(encoder.encode(event)))).toBe(event);
    expect(decoder.decode(blanker.push(encoder.encode("word sk-A")))).toBe("word ");
    expect(decoder.decode(blanker.push(encoder.encode("x")))).toBe("sk-Ax");
  });

  it("does not keep a view of a buffer that its reader uses again", () => {
    const buffer = encoder.encode(`x ${SECRET.slice(0, 6)}`);
    const blanker = new SecretBlanker(new SecretForms([SECRET]));
    blanker.push(buffer);
    buffer.fill(0x20);
    expect(decoder.decode(blanker.push(encoder.encode(`${SECRET.slice(6)} y`)))).toBe(`${"*".repeat(SECRET.length)} y`);
  });
});

it("secrets that are kept apart leave nothing of each other standing", () => {
  const kept = [["abcdefgh"], ["abcdefghXYZW12"], ["W12-4567"]].map((secrets) => new SecretForms(secrets));
  expect(blankText("x abcdefghXYZW12-4567 y", kept)).toBe(`x ${"*".repeat(19)} y`);
  expect(blankText("x abcdefgXYZW12 y", kept)).toBe("x abcdefgXYZW12 y");
});

it("a megabyte without a secret is searched in well under the time that it takes to move it", () => {
  const forms = new SecretForms(["sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"]);
  const bytes = encoder.encode("The quick brown fox jumps over the lazy dog. ".repeat(24_000));
  const search = (): number => cpuMsOf(() => expect(forms.blankBytes(bytes)).toBe(bytes));
  expect(Math.min(...Array.from({ length: 10 }, search))).toBeLessThan(20);
});

it("a megabyte of nothing but a secret that overlaps itself is blanked in little more than the time that it takes to find it", () => {
  const forms = new SecretForms(["abababab"]);
  const text = "ab".repeat(500_000);
  const tookMs = cpuMsOf(() => expect(forms.blankText(text)).toBe("*".repeat(text.length)));
  expect(tookMs).toBeLessThan(1_000);
});
