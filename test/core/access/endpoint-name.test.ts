// Ids and slugs of endpoints: one rule for what a path may name and for what an operator may choose.
import { expect, it } from "vitest";
import { isEndpointName, makeEndpointId, slugProblem } from "../../../src/core/access/endpoint-name.ts";

it("makes an id that a path can name and that no slug may have", () => {
  const id = makeEndpointId(Uint8Array.of(0, 1, 2, 253, 254, 255, 16, 32));
  expect(id).toBe("000102fdfeff1020");
  expect(isEndpointName(id)).toBe(true);
  expect(slugProblem(id)).toBe("has the form of an endpoint id");
});

it("takes a slug of letters, digits, - and _ that a path can name, and no other", () => {
  for (const slug of ["a", "OCR", "0", "llama-3_1", "0123456789abcdef0", "0123456789ABCDEF", "a".repeat(100)]) {
    expect(slugProblem(slug), slug).toBeNull();
    expect(isEndpointName(slug), slug).toBe(true);
  }
  for (const slug of ["", "-a", "_a", "a/b", "a b", "a.b", "é", "a\n", "a'", "a".repeat(101)]) {
    expect(slugProblem(slug), slug).toBe("may hold letters, digits, - and _ only");
    expect(isEndpointName(slug), slug).toBe(false);
  }
});

it("leaves the first words of the management paths to the management API", () => {
  for (const word of ["serverless", "templates", "catalog", "billing", "flash", "Serverless"]) {
    expect(slugProblem(word)).toBe("is a word of the management API");
    expect(isEndpointName(word)).toBe(false);
  }
  expect(slugProblem("serverless-2")).toBeNull();
});
