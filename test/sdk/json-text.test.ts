import { describe, expect, it } from "vitest";
import { jsonTextOf } from "../../src/sdk/json-text.ts";

describe("the JSON text of an output", () => {
  it.each([
    ["what JSON has", { a: [1, -0.5, "ü", true, null, {}], "b c": [] }, '{"a":[1,-0.5,"ü",true,null,{}],"b c":[]}'],
    ["undefined is null, and left out as a member", [undefined, { a: undefined, b: 1 }], '[null,{"b":1}]'],
    ["holes in a list are null", Array.from({ length: 2 }), "[null,null]"],
    ["a Date is its ISO text", { at: new Date(5) }, '{"at":"1970-01-01T00:00:00.005Z"}'],
    [
      "bytes are base64",
      [new Uint8Array([1, 2]), Buffer.from("hi"), new Uint8Array([3]).buffer],
      '["AQI=","aGk=","Aw=="]',
    ],
    ["a part of a buffer is that part alone", Buffer.from("abcdef").subarray(2, 4), '"Y2Q="'],
    ["a list of floats is a list of numbers", new Float32Array([0.5, 2]), "[0.5,2]"],
    [
      "what has toJSON is what that returns",
      { toJSON: () => ({ url: new URL("https://a.test/") }) },
      '{"url":"https://a.test/"}',
    ],
    [
      "an instance of a class is its members",
      new (class {
        size = 1;
        #hidden = 2;
        sum = () => this.#hidden;
        toJSON() {
          return { size: this.size };
        }
      })(),
      '{"size":1}',
    ],
    [
      "the same object twice, which is no circle",
      (() => {
        const one = { a: 1 };
        return [one, one];
      })(),
      '[{"a":1},{"a":1}]',
    ],
    ["a member __proto__", JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
  ])("%s", (_title, value, text) => {
    expect(jsonTextOf(value, "output")).toEqual({ ok: true, text });
  });

  const circle: Record<string, unknown> = { list: [] };
  (circle.list as unknown[]).push(circle);
  const deep = Array.from({ length: 600 }).reduce<unknown>((inner) => [inner], 1);

  it.each([
    ["NaN", { a: { "b c": [Number.NaN] } }, 'output.a["b c"][0]', "is NaN"],
    ["Infinity in a list of floats", new Float64Array([1, Infinity]), "output[1]", "is Infinity"],
    ["a BigInt", 1n, "output", "is a BigInt"],
    ["BigInts in a typed array", new BigInt64Array(1), "output[0]", "is a BigInt"],
    ["a function", { run: () => undefined }, "output.run", "is a function"],
    ["a symbol", [Symbol("s")], "output[0]", "is a symbol"],
    ["a circle", circle, "output.list[0]", "itself a part of"],
    ["too many levels", deep, `output${"[0]".repeat(500)}`, "is deeper than 500 levels"],
    ["a Response, as fetch gives it", new Response("{}"), "output", "await response.json()"],
    ["a Blob", [new Blob(["bytes"])], "output[0]", "await blob.arrayBuffer()"],
    ["a stream beside other things", { body: new Response("{}").body }, "output.body", "is a stream"],
    ["a Promise", { a: Promise.resolve(1) }, "output.a", "await is missing"],
    ["a Map", new Map(), "output", "Object.fromEntries"],
    ["a Set", { tags: new Set() }, "output.tags", "[...set]"],
    ["an Error", { cause: new Error("no") }, "output.cause", "throw it"],
    ["a Date without a time", new Date("x"), "output", "without a time"],
    ["toJSON that gives what is no JSON", { a: { toJSON: () => 1n } }, "output.a", "is a BigInt"],
  ])("names the path of %s", (_title, value, path, problem) => {
    expect(jsonTextOf(value, "output")).toEqual({ ok: false, path, problem: expect.stringContaining(problem) });
  });
});
