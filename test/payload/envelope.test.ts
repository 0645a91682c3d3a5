// Bodies of jobs and results through the real scanner, the real sink and real R2.
import { env, RpcStub, RpcTarget } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { ENVELOPE_FIELDS_MAX_BYTES, R2_PART_BYTES } from "../../src/core/limits.ts";
import { type EnvelopeOptions, readEnvelope, readValue } from "../../src/payload/envelope.ts";
import { byteStream, chunkStream, firstDifference, join, jsonString, wrapBucket, wrapParts } from "./fixtures.ts";

const MIB = 1024 * 1024;

/** The other end of a call over RPC, which refuses objects that it cannot copy. */
class Receiver extends RpcTarget {
  names(fields: Record<string, string>): string[] {
    return Object.keys(fields);
  }
}

function optionsFor(key: string, changes: Partial<EnvelopeOptions> = {}): EnvelopeOptions {
  const fieldsMaxBytes = ENVELOPE_FIELDS_MAX_BYTES;
  return { bigField: "input", bucket: env.PAYLOADS, key, maxBytes: 20 * MIB, fieldsMaxBytes, ...changes };
}

async function stored(key: string): Promise<Uint8Array> {
  const object = await env.PAYLOADS.get(key);
  return object === null ? new Uint8Array(0) : await object.bytes();
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}

function* cut(bytes: Uint8Array, chunkBytes: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.slice(at, at + chunkBytes);
}

async function sha256Hex(bytes: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("readEnvelope", () => {
  it("keeps a small input as its raw bytes and all other fields as their raw text", async () => {
    const input = '{ "n": 1.0, "big": 1e21, "sep": "\u2028\\u2028" }';
    const body = ` {"webhook":"https://a.example/é" , "input" : ${input},"policy":{"ttl":10000.0},"__proto__":{"x":1}}\n`;
    const read = await readEnvelope(byteStream(body), optionsFor("envelope/small", { hash: true }));
    if (read.kind !== "ok" || read.big?.kind !== "inline") throw new Error(`unexpected ${read.kind}`);
    expect(text(read.big.bytes)).toBe(input);
    expect(Object.entries(read.fields)).toEqual([
      ["webhook", '"https://a.example/é"'],
      ["policy", '{"ttl":10000.0}'],
      ["__proto__", '{"x":1}'],
    ]);
    using receiver = new RpcStub(new Receiver());
    expect(await receiver.names(read.fields)).toEqual(["webhook", "policy", "__proto__"]);
    expect(read.totalBytes).toBe(join(body).length);
    expect(read.sha256Hex).toBe(await sha256Hex(join(body)));
  });

  it("tells a missing input from one that is null", async () => {
    expect(await readEnvelope(byteStream('{"a":1}'), optionsFor("envelope/none"))).toMatchObject({
      kind: "ok",
      big: null,
    });
    const read = await readEnvelope(byteStream('{"input":null}'), optionsFor("envelope/null"));
    expect(read).toMatchObject({ kind: "ok", big: { kind: "inline", bytes: join("null") } });
    expect(read).not.toHaveProperty("sha256Hex");
  });

  it.each([300_000, R2_PART_BYTES, 12 * MIB])("moves an input of %i bytes to R2 byte for byte", async (sizeBytes) => {
    const key = `envelope/large-${sizeBytes}`;
    const input = jsonString(sizeBytes);
    const body = join('{"id":"x","input":', input, ',"webhook":null}');
    const read = await readEnvelope(byteStream(body), optionsFor(key, { hash: true }));
    expect(read).toEqual({
      kind: "ok",
      big: { kind: "r2", key, sizeBytes },
      fields: { id: '"x"', webhook: "null" },
      totalBytes: body.length,
      sha256Hex: await sha256Hex(body),
    });
    expect(firstDifference(await stored(key), input)).toBeNull();
  });

  it.each([1, 7, 4_096, 700_000])(
    "reads chunks of %i bytes of a stream that is not one of bytes",
    async (chunkBytes) => {
      const key = `envelope/chunks-${chunkBytes}`;
      const input = jsonString(chunkBytes < 100 ? 5_000 : 6 * MIB);
      const body = join('{"a":"é\\u00e9","input":', input, "}");
      const read = await readEnvelope(chunkStream(cut(body, chunkBytes)).stream, optionsFor(key));
      if (read.kind !== "ok" || read.big === null) throw new Error(`unexpected ${read.kind}`);
      const bytes = read.big.kind === "inline" ? read.big.bytes : await stored(key);
      expect(firstDifference(bytes, input)).toBeNull();
      expect(read.fields.a).toBe('"é\\u00e9"');
    },
  );

  it("takes a body of exactly its limit and refuses one byte more, leaving nothing in R2", async () => {
    const maxBytes = 10 * MIB;
    const input = jsonString(maxBytes - '{"input":}'.length);
    const exact = optionsFor("envelope/exact", { maxBytes });
    expect(await readEnvelope(byteStream('{"input":', input, "}"), exact)).toMatchObject({
      kind: "ok",
      totalBytes: maxBytes,
    });
    const over = optionsFor("envelope/over", { maxBytes });
    const answer = await readEnvelope(byteStream('{"input":', input, "} "), over);
    expect(answer).toEqual({ kind: "too_large", maxBytes });
    expect(await env.PAYLOADS.head("envelope/over")).toBeNull();
  });

  it("stops a sender that never ends", async () => {
    function* endless() {
      yield join('{"input":"');
      for (;;) yield new Uint8Array(100_000).fill(0x61);
    }
    const { stream, seen } = chunkStream(endless());
    const answer = await readEnvelope(stream, optionsFor("envelope/endless", { maxBytes: MIB, hash: true }));
    expect(answer).toEqual({ kind: "too_large", maxBytes: MIB });
    expect(seen).toEqual({ chunks: 12, cancelled: true });
  });

  it.each([
    ["", "bad_json"],
    ["  ", "bad_json"],
    ['{"input":1', "bad_json"],
    ['{"input":NaN}', "bad_json"],
    ['{"input":1,"input":2}', "bad_json"],
    ['{"input":1}{}', "bad_json"],
    ["[1]", "not_object"],
    ["null", "not_object"],
  ])("answers %j with %s", async (body, kind) => {
    expect(await readEnvelope(byteStream(body), optionsFor("envelope/bad"))).toMatchObject({ kind });
  });

  it("answers a request without a body with bad_json", async () => {
    expect(await readEnvelope(null, optionsFor("envelope/no-body"))).toMatchObject({ kind: "bad_json" });
  });

  it("removes what stands in R2 when the JSON breaks after the input", async () => {
    const body = byteStream('{"input":', jsonString(12 * MIB), ',"policy":}');
    const read = await readEnvelope(body, optionsFor("envelope/late-break"));
    expect(read).toMatchObject({ kind: "bad_json" });
    expect(await env.PAYLOADS.head("envelope/late-break")).toBeNull();
  });

  it("bounds all other fields together, names included", async () => {
    const options = (key: string) => optionsFor(key, { fieldsMaxBytes: 1_000 });
    const value = "v".repeat(990);
    expect(await readEnvelope(byteStream(`{"abc":"${value}"}`), options("envelope/f1"))).toMatchObject({ kind: "ok" });
    const tooLarge = { kind: "fields_too_large", maxBytes: 1_000 };
    expect(await readEnvelope(byteStream(`{"abc":"${value}","d":12345}`), options("envelope/f2"))).toEqual(tooLarge);
    expect(await readEnvelope(byteStream(`{"${"n".repeat(1_001)}":1}`), options("envelope/f3"))).toEqual(tooLarge);
  });

  it("takes NaN and Infinity of a worker as null when asked, since no client could parse them", async () => {
    const options = optionsFor("envelope/nan", { bigField: "output", lenientNumbers: true });
    const read = await readEnvelope(byteStream('{"output":[NaN,-Infinity]}'), options);
    expect(read).toMatchObject({ big: { kind: "inline", bytes: join("[null,null]") } });
  });

  it("says that R2 failed and stops the sender", async () => {
    const bucket = wrapBucket(env.PAYLOADS, { createMultipartUpload: () => Promise.reject(new Error("R2 is down")) });
    const { stream, seen } = chunkStream(cut(join('{"input":', jsonString(12 * MIB), "}"), 100_000));
    const read = await readEnvelope(stream, optionsFor("envelope/r2-down", { bucket }));
    expect(read).toEqual({ kind: "storage_failed", message: "R2 did not take the payload: R2 is down" });
    expect(seen.cancelled).toBe(true);
  });

  it("says that the sender went away and leaves nothing in R2", async () => {
    function* breaking() {
      yield join('{"input":', jsonString(6 * MIB).subarray(0, -1));
      throw new Error("connection lost");
    }
    const read = await readEnvelope(chunkStream(breaking()).stream, optionsFor("envelope/gone"));
    expect(read).toEqual({ kind: "read_failed", message: "the body ended early: connection lost" });
    expect(await env.PAYLOADS.head("envelope/gone")).toBeNull();
  });

  it("takes no more from the sender than one part ahead of a slow R2", async () => {
    const gates: (() => void)[] = [];
    const bucket = wrapParts(env.PAYLOADS, () => new Promise<void>((resolve) => void gates.push(resolve)));
    const input = jsonString(12 * MIB);
    const { stream, seen } = chunkStream(cut(join('{"input":', input, "}"), 100_000));
    const reading = readEnvelope(stream, optionsFor("envelope/slow-r2", { bucket }));
    for (const part of [1, 2, 3]) {
      await expect.poll(() => gates.length).toBe(part);
      await env.PAYLOADS.head("envelope/any");
      expect(seen.chunks * 100_000).toBeLessThanOrEqual(part * R2_PART_BYTES + 200_000);
      gates[part - 1]?.();
    }
    expect(await reading).toMatchObject({ kind: "ok" });
    expect(firstDifference(await stored("envelope/slow-r2"), input)).toBeNull();
  });
});

describe("readValue", () => {
  it.each(["1.0", '"x"', "null", "[1, 2]", '{"a" : 1}'])(
    "takes %s as a whole, without white space around it",
    async (value) => {
      const read = await readValue(byteStream(`\n ${value} `), {
        bucket: env.PAYLOADS,
        key: "value/small",
        maxBytes: 100,
      });
      expect(read).toEqual({
        kind: "ok",
        payload: { kind: "inline", bytes: join(value) },
        totalBytes: value.length + 3,
      });
    },
  );

  it("moves a large value to R2 and refuses one over the limit", async () => {
    const value = jsonString(6 * MIB);
    const options = { bucket: env.PAYLOADS, key: "value/large", maxBytes: value.length };
    expect(await readValue(byteStream(value), options)).toMatchObject({
      payload: { kind: "r2", sizeBytes: value.length },
    });
    expect(firstDifference(await stored("value/large"), value)).toBeNull();
    const over = { ...options, key: "value/over", maxBytes: value.length - 1 };
    expect(await readValue(byteStream(value), over)).toEqual({ kind: "too_large", maxBytes: value.length - 1 });
    expect(await env.PAYLOADS.head("value/over")).toBeNull();
  });

  it("refuses what is not JSON", async () => {
    const options = { bucket: env.PAYLOADS, key: "value/bad", maxBytes: 100 };
    expect(await readValue(byteStream("<html>"), options)).toEqual({
      kind: "bad_json",
      message: "the body is not valid JSON: unexpected character at byte 0",
    });
  });
});
