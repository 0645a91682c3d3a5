import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseGraphQl } from "../../../src/core/manage/graphql-document.ts";

describe("a GraphQL document", () => {
  it("is one field with its inline arguments and its selection", () => {
    const text = `
      # a comment
      mutation Save { saveEndpoint(input: { flashBootType: FLASHBOOT, name: "a \\"b\\" \\u00e9", n: -1.5e1, ok: true,
        none: null, env: [{ key: "A", value: "1" }], empty: [] }) { id env { key } lowestPrice(input: {n: 1}) { x } } }`;
    expect(parseGraphQl(text)).toEqual({
      operation: "mutation",
      field: {
        name: "saveEndpoint",
        args: {
          input: {
            flashBootType: "FLASHBOOT",
            name: 'a "b" é',
            n: -15,
            ok: true,
            none: null,
            env: [{ key: "A", value: "1" }],
            empty: [],
          },
        },
        selection: [
          { name: "id", args: {}, selection: [] },
          { name: "env", args: {}, selection: [{ name: "key", args: {}, selection: [] }] },
          {
            name: "lowestPrice",
            args: { input: { n: 1 } },
            selection: [{ name: "x", args: {}, selection: [] }],
          },
        ],
      },
    });
    expect(parseGraphQl("{ myself { id } }")).toMatchObject({ operation: "query", field: { name: "myself" } });
  });

  it("says in one sentence why it is none that is served", () => {
    const cases = [
      ["", "ends too early"],
      ["{ }", "asks for nothing"],
      ["{ a b }", "one field at a time"],
      ["{ a } { b }", "one field at a time"],
      ["query ($id: ID!) { a(id: $id) }", "variables are not taken"],
      ["{ a(id: $id) }", "variables are not taken"],
      ["{ ...All }", "fragments are not taken"],
      ["subscription { a }", "query or a mutation"],
      ['{ a(name: "b"c") }', "cannot be read"],
      ['{ a(name: "\\x") }', "escape"],
      ["{ short: a }", "name was expected at its character 8"],
      ["{ a { b { c } b { d } } }", "ask for b once"],
      [`{ a { ${Array.from({ length: 100 }, (_, at) => `f${at}`).join(" ")} } }`, "over 100 fields"],
      [`{${"a{".repeat(40)}`, "nested too deeply"],
      [`{ a(b: ${"[".repeat(40)}`, "nested too deeply"],
    ] as const;
    for (const [text, problem] of cases)
      expect(parseGraphQl(text), text).toMatchObject({ problem: expect.stringContaining(problem) });
  });

  it("takes a field that is named again as one", () => {
    const parsed = parseGraphQl(`{ a { ${"b ".repeat(50)} } }`);
    expect(parsed).toMatchObject({ field: { selection: [{ name: "b" }] } });
  });

  it("is not repeated in the sentence, because clients put values of environments into it as they are", () => {
    for (const secret of [
      "hf\\secret",
      'x"hf_secret',
      'x" hf_secret',
      'x" }] }) { hf_secret } "',
      "hf_secret\n",
      'x""hf_secret',
    ]) {
      const parsed = parseGraphQl(`mutation { a(input: { env: [{ key: "HF", value: "${secret}" }] }) { id } }`);
      expect(parsed, secret).toHaveProperty("problem");
      expect(JSON.stringify(parsed), secret).not.toContain("hf");
    }
    expect(JSON.stringify(parseGraphQl('"hf_secret"'))).not.toContain("hf_secret");
  });

  it("never fails in another way, whatever comes", () => {
    const words = fc.constantFrom(
      "{",
      "}",
      "(",
      ")",
      "[",
      "]",
      ":",
      "$",
      "@",
      "...",
      "query",
      '"a"',
      '"',
      "1",
      "a",
      ",",
      "#",
      "\\",
      "é",
    );
    fc.assert(
      fc.property(fc.array(words, { maxLength: 30 }), (texts) => {
        const parsed = parseGraphQl(texts.join(" "));
        expect("problem" in parsed || parsed.field.name !== "").toBe(true);
      }),
    );
  });

  it("takes a member named __proto__ as any other", () => {
    const parsed = parseGraphQl("{ a(input: { __proto__: { x: 1 } }) }");
    expect(parsed).toMatchObject({ field: { args: {} } });
    expect(Object.hasOwn(("field" in parsed ? parsed.field.args.input : {}) as object, "__proto__")).toBe(true);
  });
});
