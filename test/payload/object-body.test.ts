// Bodies of OpenAI routes: an object kept byte for byte with a member added at its end, and other bodies as base64.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { readBase64 } from "../../src/payload/base64-body.ts";
import { readObject } from "../../src/payload/object-body.ts";

const NAMES = new Set(["stream", "model"]);

function inPieces(text: string, cuts: readonly number[]): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  const places = [0, ...cuts, bytes.length];
  return new ReadableStream({
    start(controller) {
      for (const [at, from] of places.slice(0, -1).entries()) {
        const piece = bytes.subarray(from, places[at + 1]);
        if (piece.length > 0) controller.enqueue(piece);
      }
      controller.close();
    },
  });
}

async function read(body: ReadableStream<Uint8Array> | Uint8Array | null, more = "", maxBytes = 1_000_000) {
  const key = `object-${crypto.randomUUID()}`;
  const read = await readObject(body, { bucket: env.PAYLOADS, key, maxBytes, names: NAMES, atEnd: () => more });
  if (read.kind !== "ok") return read.kind;
  const { payload, noted } = read;
  const text =
    payload.kind === "inline"
      ? new TextDecoder().decode(payload.bytes)
      : await (await env.PAYLOADS.get(payload.key))?.text();
  return { text, noted: Object.fromEntries(noted), kind: payload.kind };
}

describe("an object", () => {
  it("stays as it is wherever it is cut, and its end gets what is added", async () => {
    const text = '{ "model":"m}  ", "a":{"stream":false} ,"stream":true,"n":1.0, "s":"} \\" } " }';
    const length = new TextEncoder().encode(text).length;
    for (let cut = 0; cut <= length; cut += 1) {
      const { text: kept, noted } = Object(await read(inPieces(text, [cut]), ',"added":1'));
      expect(kept).toBe(`${text.slice(0, -1)},"added":1}`);
      expect(noted).toEqual({ model: '"m}  "', stream: "true" });
    }
  });

  it.each(["{}", ' {"a":"} "} \n ', '{"stream":true,"model":"é\\n","n":1.0}\t', `{"model":"${"é".repeat(2_000)}"}`])(
    "is the same in one piece as in many: %s",
    async (text) => {
      const bytes = new TextEncoder().encode(text);
      const cuts = Array.from({ length: bytes.length - 1 }, (_, at) => at + 1);
      for (const more of ["", ',"added":1']) {
        const whole = await read(bytes, more);
        expect(whole).toEqual(await read(inPieces(text, cuts), more));
        expect(whole).toMatchObject({ text: text.trimEnd().slice(0, -1).concat(more, "}") });
      }
    },
  );

  it("loses a byte order mark before it, wherever that is cut", async () => {
    const text = ' {"model":"m","stream":true}';
    for (const cuts of [[], [1], [2], [3], [1, 2], [1, 2, 3, 4]])
      for (const more of ["", ',"added":1'])
        expect(await read(inPieces(`\ufeff${text}`, cuts), more)).toEqual(await read(inPieces(text, []), more));
    expect(await read(new TextEncoder().encode(`\ufeff${text}`))).toEqual(await read(inPieces(text, [])));
    expect(await read(inPieces("\ufeff", [1]))).toBe("bad_json");
  });

  it("loses only the white space behind it", async () => {
    expect(await read(inPieces(' {"a":"} "} \n ', [7, 9, 12]))).toMatchObject({ text: ' {"a":"} "}' });
  });

  it("keeps white space of any length within its texts", async () => {
    const text = `{"a":"}${" ".repeat(300_000)}x"}`;
    expect(await read(inPieces(text, [7, 100_000, 200_000]))).toEqual({ text, noted: {}, kind: "r2" });
  });

  it.each([
    ["no JSON", '{"a":', "bad_json"],
    ["a list", "[1]", "not_object"],
    ["a name that stands twice", '{"a":1,"a":2}', "bad_json"],
    ["two objects", '{"a":1}{"b":2}', "bad_json"],
    ["nothing", "", "bad_json"],
    ["too much", `{"a":"${"x".repeat(2_000_000)}"}`, "too_large"],
  ])("is refused when it is %s", async (_what, text, kind) => {
    expect(await read(inPieces(text, []))).toBe(kind);
    expect(await read(new TextEncoder().encode(text))).toBe(kind);
  });
});

describe("a body that is no JSON", () => {
  it("becomes a JSON string of its base64, and is bounded by its own size", async () => {
    const bytes = crypto.getRandomValues(new Uint8Array(50_000));
    const options = { bucket: env.PAYLOADS, key: `base64-${crypto.randomUUID()}`, maxBytes: 50_000 };
    const read = await readBase64(bytes, options);
    if (read.kind !== "ok" || read.payload.kind !== "inline") throw new Error(read.kind);
    const text: unknown = JSON.parse(new TextDecoder().decode(read.payload.bytes));
    expect(text).toBe(btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")));
    expect(await readBase64(bytes, { ...options, maxBytes: 49_999 })).toMatchObject({ kind: "too_large" });
  });
});
