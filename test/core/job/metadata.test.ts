// The tags of a job: which values of `metadata` are refused, by which name, and what is read of a stored one.
import { describe, expect, it } from "vitest";
import { METADATA_MAX_BYTES, metadataProblem, readMetadata } from "../../../src/core/job/metadata.ts";

/** JSON of an object with so many tags. */
const tags = (count: number) =>
  JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, ""])));
/** JSON of one tag that takes so many bytes as a whole. */
const ofBytes = (bytes: number) => `{"k":"${"x".repeat(bytes - '{"k":""}'.length)}"}`;

describe("the metadata of a request", () => {
  it.each([
    ["no tags", "{}"],
    ["null", "null"],
    ["16 tags", tags(16)],
    ["1,024 bytes", ofBytes(METADATA_MAX_BYTES)],
    ["a name of 64 characters", JSON.stringify({ ["n".repeat(64)]: "1" })],
    ["a name of 64 characters of two units each", JSON.stringify({ ["😀".repeat(64)]: "1" })],
    ["a tag named __proto__", '{"__proto__":"1"}'],
    ["an empty tag", '{"k":""}'],
  ])("may be an object with %s", (_, raw) => {
    expect(metadataProblem(raw)).toBeNull();
  });

  it.each([
    ["a string", '"red"', "metadata"],
    ["a list", '["red"]', "metadata"],
    ["a number", "1", "metadata"],
    ["17 pairs", tags(17), "metadata"],
    ["1,025 bytes", ofBytes(METADATA_MAX_BYTES + 1), "metadata"],
    ["1,025 bytes of which most are white space", `{${" ".repeat(METADATA_MAX_BYTES - 1)}}`, "metadata"],
    ["an empty name", '{"":"1"}', "metadata"],
    ["a name of 65 characters", JSON.stringify({ ["n".repeat(65)]: "1" }), "metadata"],
    ["a tag that is a number", '{"a":"1","order":7}', "metadata.order"],
    ["a tag that is null", '{"order":null}', "metadata.order"],
    ["a tag named __proto__ that is an object", '{"__proto__":{}}', "metadata.__proto__"],
  ])("is refused as %s, by the name of what is wrong", (_, raw, field) => {
    expect(metadataProblem(raw)).toMatchObject({ field });
  });
});

describe("the tags of a stored job", () => {
  it("are those of its request", () => {
    expect(readMetadata('{"order":"7","note":"\\u00e9"}')).toEqual({ order: "7", note: "é" });
    expect(Object.entries(readMetadata('{"__proto__":"1"}') ?? {})).toEqual([["__proto__", "1"]]);
  });

  it("are none where the request had none, or what an older release let pass", () => {
    for (const raw of [undefined, null, "null", "[1]", '{"order":7}', tags(17)]) expect(readMetadata(raw)).toBeNull();
  });
});
