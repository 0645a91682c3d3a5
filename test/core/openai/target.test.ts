// Which calls of a tenant could not be made at all.
import { describe, expect, it } from "vitest";
import { bodyProblem, isHeaderValue, targetProblem } from "../../../src/core/openai/target.ts";

describe("the body of a request", () => {
  it.each(["GET", "HEAD"])("may not come with %s", (method) => {
    expect(bodyProblem(method, "application/json")).toMatchObject({ field: "body" });
    expect(bodyProblem(method, null)).toBeNull();
  });

  it.each(["POST", "PUT", "PATCH", "DELETE"])("may come with %s", (method) => {
    expect(bodyProblem(method, "multipart/form-data; boundary=x")).toBeNull();
  });

  it.each(["a/b\u0001", "a/b\r\nx: y", "a/\u00e9", "a/\u4f60", `a/${"b".repeat(300)}`])(
    "has no type that a header may not hold: %j",
    (type) => expect(bodyProblem("POST", type)).toMatchObject({ field: "content-type" }),
  );
});

describe("path and query", () => {
  it.each([
    ["/v1/models", "?x=\\", "query"],
    ["/v1/m\\", "", "path"],
    ["/v1/models", "?x=\u00e9", "query"],
    ["/v1/models", "?x= y", "query"],
    ["/v1/models", `?${"y".repeat(2_048)}`, "query"],
    [`/v1/${"y".repeat(2_048)}`, "", "path"],
  ])("are not sent as they are: %#, the $2", (path, query, field) => {
    expect(targetProblem(path, query)).toMatchObject({ field });
  });

  it("of usual characters are", () => {
    expect(targetProblem("/v1/models/meta-llama%2FLlama-3", "?limit=3&after=%22x%22")).toBeNull();
  });
});

it("a credential with a line's end is no header", () => {
  expect([isHeaderValue("sk-1"), isHeaderValue("sk-1\n"), isHeaderValue("sk-\u00e9")]).toEqual([true, false, false]);
});
