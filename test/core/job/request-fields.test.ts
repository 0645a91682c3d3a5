// What is read of a request is what its description promises, with the same words for what is refused.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { jobRequestSchema } from "../../../src/contract/job-request.ts";
import { readJobRequest } from "../../../src/core/job/request-fields.ts";
import { EXECUTION_TIMEOUT_MIN_MS, POLICY_MAX_MS, TTL_MIN_MS } from "../../../src/core/limits.ts";

const bounds = [EXECUTION_TIMEOUT_MIN_MS, TTL_MIN_MS, POLICY_MAX_MS];
const value = fc.oneof(
  fc.constantFrom<unknown>(null, true, false, "", "https://a.test/", 0, -1, 1.5, 1e300, {}, [], { a: 1 }),
  fc.constantFrom(...bounds.flatMap((bound) => [bound - 1, bound, bound + 1, bound + 0.5])),
);
const policy = fc.record(
  { executionTimeout: value, ttl: value, lowPriority: value, other: value },
  { requiredKeys: [] },
);
const request = fc.record(
  { policy: fc.oneof(policy, value), webhook: value, s3Config: value, other: value },
  { requiredKeys: [] },
);

function texts(fields: object): Record<string, string> {
  return Object.fromEntries(Object.entries(fields).map(([name, each]) => [name, JSON.stringify(each)]));
}

describe("the known fields of a request", () => {
  it("are read as they are described", () => {
    fc.assert(
      fc.property(request, (fields) => {
        const read = readJobRequest(texts(fields));
        const described = jobRequestSchema.safeParse(fields);
        expect(read.ok).toBe(described.success);
        if (!read.ok) {
          const [issue] = described.error?.issues ?? [];
          expect(read.failure).toEqual({ kind: "invalid", field: issue?.path.join("."), message: issue?.message });
        } else if (read.value !== null) {
          const { policy: readPolicy, webhook, s3Config } = read.value;
          const plain = JSON.parse(JSON.stringify({ policy: readPolicy, webhook, s3Config }));
          expect(plain).toEqual({ policy: {}, ...described.data });
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it("are none where there are only others, and metadata is checked all the same", () => {
    expect(readJobRequest(texts({ other: 1 }))).toEqual({ ok: true, value: null });
    expect(readJobRequest(texts({ metadata: { a: 1 } }))).toMatchObject({ failure: { field: "metadata.a" } });
  });

  it("do not come from the prototype of an object", () => {
    expect(readJobRequest(JSON.parse('{"__proto__":"1"}'))).toEqual({ ok: true, value: null });
  });
});
