// Job ids: what is made is read back, and nothing else is an id.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endpointNumberOf, makeJobId, parseJobId, showJobId } from "../../../src/core/job/id.ts";

const uuid = "0193a0f2-7b1c-7def-8a11-0123456789ab";

describe("job ids", () => {
  it("end in the shard, and say by a prefix that the job came by runsync", () => {
    expect(showJobId(uuid, "run")).toBe(`${uuid}-u1`);
    expect(showJobId(uuid, "runsync")).toBe(`sync-${uuid}-u1`);
  });

  it("hold the number of their endpoint, and stay uuids in the order of their making", () => {
    expect(makeJobId(uuid, "runsync", 0xab)).toBe("sync-0193a0f2-7b1c-7def-8a11-0123000000ab-u1");
    fc.assert(
      fc.property(fc.uuid({ version: 7 }), fc.integer({ min: 0, max: 0xffff_ffff }), (id, number) => {
        const made = parseJobId(makeJobId(id, "run", number))?.uuid ?? "";
        expect(endpointNumberOf(made)).toBe(number);
        expect(made.slice(0, -8)).toBe(id.slice(0, -8));
      }),
    );
  });

  it("are read back into uuid and mode", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.constantFrom("run" as const, "runsync" as const), (id, mode) => {
        expect(parseJobId(showJobId(id, mode))).toEqual({ uuid: id, mode });
      }),
    );
  });

  it.each([
    ["nothing", ""],
    ["a bare uuid", uuid],
    ["another shard", `${uuid}-u2`],
    ["a longer suffix", `${uuid}-u10`],
    ["another region", `${uuid}-e1`],
    ["upper case", `${uuid.toUpperCase()}-u1`],
    ["another prefix", `async-${uuid}-u1`],
    ["a doubled prefix", `sync-sync-${uuid}-u1`],
    ["a line break at the end", `${uuid}-u1\n`],
    ["a space in front", ` ${uuid}-u1`],
    ["a digit too few", `${uuid.slice(1)}-u1`],
    ["a very long text", "a".repeat(100_000)],
  ])("are not %s", (_name, text) => {
    expect(parseJobId(text)).toBeNull();
  });
});
