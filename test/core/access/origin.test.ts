// What an origin is that a page can come from, and the text of a token for browsers.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { splitToken } from "../../../src/core/access/browser-token.ts";
import { originProblem } from "../../../src/core/access/origin.ts";

describe("an origin", () => {
  it.each([
    "https://app.example",
    "https://app.example:8443",
    "https://xn--bcher-kva.example",
    "http://localhost:3000",
    "http://127.0.0.1",
    "http://[::1]:8000",
  ])("may be %s", (origin) => expect(originProblem(origin)).toBeNull());

  it.each([
    ["https://app.example/", "must be written as browsers send it: https://app.example"],
    ["https://APP.example", "must be written as browsers send it: https://app.example"],
    ["https://app.example:443", "must be written as browsers send it: https://app.example"],
    ["https://bücher.example", "must be written as browsers send it: https://xn--bcher-kva.example"],
    ["http://app.example", "must be https, unless it is this machine"],
    ["http://localhost.evil.example", "must be https, unless it is this machine"],
  ])("%s %s", (origin, problem) => expect(originProblem(origin)).toBe(problem));

  it.each([
    "*",
    "https://*",
    "https://*.example",
    "null",
    "",
    "app.example",
    "file:///x",
    "data:,x",
    "javascript:1",
    "blob:https://app.example/x",
  ])("is not %j", (text) => expect(originProblem(text)).toContain("must be an origin such as"));

  it("is what a browser would send for any page that it lets in", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl({ withQueryParameters: true }),
          fc.domain().map((host) => `https://${host}`),
        ),
        (text) => {
          if (originProblem(text) === null) expect(new URL(`${text}/any/page?x#y`).origin).toBe(text);
        },
      ),
    );
  });
});

describe("a token's text", () => {
  it("has two parts behind its prefix, and nothing else", () => {
    const mac = "m".repeat(43);
    expect(splitToken(`wb_tok_grant.${mac}`)).toEqual({ grant: "grant", mac });
    for (const wrong of [
      "",
      "wb_tok_",
      `wb_tok_.${mac}`,
      `wb_live_grant.${mac}`,
      `wb_tok_grant.${mac}m`,
      ` wb_tok_grant.${mac}`,
      `wb_tok_gr=nt.${mac}`,
      `wb_tok_${"g".repeat(1_201)}.${mac}`,
    ]) {
      expect(splitToken(wrong)).toBeNull();
    }
  });
});
