// What a body of a management call may cost to read, told before it is read.
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { MANAGE_BODY_MAX_BYTES } from "../../../src/core/manage/limits.ts";
import { checkBody } from "../../../src/http/kit/checked.ts";

const ANY = z.record(z.string(), z.unknown());

function bodyOf(member: (at: number) => string): string {
  const members: string[] = [];
  for (let chars = 0; chars < MANAGE_BODY_MAX_BYTES - 40; chars += (members.at(-1)?.length ?? 0) + 1)
    members.push(member(members.length));
  return members.join();
}

describe("the largest body of a call", () => {
  it("is refused where the engine would take half a second to read it", () => {
    const text = `{"texts":[${bodyOf((at) => `"${at * 65_536}"`)}]}`;
    expect(checkBody(ANY, text)).toEqual({
      ok: false,
      failure: { kind: "invalid", field: "body", message: "must be a JSON object" },
    });
  });

  it.each([
    ["names", `{${bodyOf((at) => `"a${at}":1`)}}`],
    ["numbers", `{"all":[${bodyOf((at) => `"${at}"`)}]}`],
    ["lists", `{"all":[${bodyOf(() => "[]")}]}`],
    ["objects", `{"all":[${bodyOf((at) => `{"name":"n${at}","value":"${at}"}`)}]}`],
  ])("is taken with as many %s as it has room for", (_what, text) => {
    expect(checkBody(ANY, text).ok).toBe(true);
  });
});
