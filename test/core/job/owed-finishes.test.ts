// Owed finishes: batches from the front, in the order of their numbers, whatever else happens to them.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type OwedFinish, OwedFinishes } from "../../../src/core/job/owed-finishes.ts";

describe("owed finishes", () => {
  it("are the same as a sorted list of them all", () => {
    const step = fc.record({
      kind: fc.constantFrom("add", "add", "add", "earlier", "move", "remove", "post"),
      tenant: fc.constantFrom("a", "b"),
      pick: fc.nat(1_000),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 300, size: "max" }), (steps) => {
        const owed = new OwedFinishes();
        let listed: (OwedFinish & { readonly tenant: string })[] = [];
        let seq = 1_000;
        for (const { kind, tenant, pick } of steps) {
          const own = listed.filter((each) => each.tenant === tenant).sort((a, b) => a.finishSeq - b.finishSeq);
          const picked = own[pick % Math.max(own.length, 1)];
          seq += 1;
          if (kind === "add" || kind === "earlier") {
            const finish = { finishSeq: kind === "add" ? seq : 2_000 - seq, uuid: `job-${seq}` };
            owed.add(tenant, finish);
            listed.push({ tenant, ...finish });
          } else if (kind === "move" && picked !== undefined) {
            owed.moveOut(tenant, picked.finishSeq);
            listed = listed.map((each) => (each === picked ? { ...each, uuid: null } : each));
          } else if (kind === "remove" && picked !== undefined) {
            owed.remove(tenant, picked.finishSeq);
            listed = listed.filter((each) => each !== picked);
          } else if (kind === "post" && picked !== undefined) {
            const through = owed.through(tenant, picked.finishSeq);
            expect(through.map(({ finishSeq }) => finishSeq)).toEqual(
              own.slice(0, own.indexOf(picked) + 1).map(({ finishSeq }) => finishSeq),
            );
            owed.drop(tenant, through.length);
            listed = listed.filter((each) => each.tenant !== tenant || each.finishSeq > picked.finishSeq);
          }
          for (const each of ["a", "b"]) {
            const expected = listed
              .filter(({ tenant: owner }) => owner === each)
              .sort((a, b) => a.finishSeq - b.finishSeq);
            expect(owed.front(each, 3)).toEqual(
              expected.slice(0, 3).map(({ finishSeq, uuid }) => ({ finishSeq, uuid })),
            );
            expect(owed.owes(each)).toBe(expected.length > 0);
          }
          expect(owed.size).toBe(listed.length);
        }
      }),
      { numRuns: 100 },
    );
  });
});
