// While a release is deployed, edges of the one before still call brokers of this one, and the other way round. They name the call of
// an OpenAI route `request`, have null there for other jobs, and know no `origin`.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { SubmitCall } from "../../../src/contract/broker.ts";
import { openAiOrigin } from "../../../src/contract/openai-origin.ts";
import { endWithoutResult } from "../../../src/core/job/openai-error.ts";
import { jobParts } from "../../../src/payload/job-body.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";
import { openAiRequest } from "../../support/openai-request.ts";

const CALL = openAiRequest();
const POLICY = { executionTimeoutMs: 5_000, ttlMs: null, lowPriority: false };
const WAITS = { mode: "runsync", carries: true, waitMs: 90_000, policy: POLICY } as const;

afterEach(() => {
  vi.restoreAllMocks();
});

/** A submit as an edge of the release before makes it. */
function olderSubmission(request: typeof CALL | null): SubmitCall {
  const { origin: _, ...call } = submission({ ...WAITS, request });
  return call as SubmitCall;
}

describe("an edge of the release before", () => {
  it.each([
    ["of an OpenAI route", CALL, openAiOrigin(CALL)],
    ["of RunPod's API", null, null],
  ])("submits a job %s, which stays one, and reads its claim", async (_, request, origin) => {
    holdCarriers();
    const { broker } = await makeBroker();
    const answer = await broker.submit(olderSubmission(request));
    if (!answer.ok || answer.value.claim === null) throw new Error("not claimed");
    expect(answer.value.claim).toMatchObject({ origin, request });
  });
});

describe("a broker of the release before", () => {
  it("tells of a job that has failed without a code, and its OpenAI client gets the error by its text", () => {
    const older = { status: "FAILED", error: "no cuda" } as unknown as Parameters<typeof endWithoutResult>[0];
    expect(endWithoutResult(older).error).toMatchObject({ status: 500, error: { message: "no cuda" } });
  });

  it("hands a pulling worker's edge a job of an OpenAI route, which goes to the worker as one", () => {
    const bytes = new TextEncoder().encode("{}");
    const handed = { jobId: "j", input: { kind: "inline", bytes }, fields: {} } as const;
    const older = { ...handed, request: CALL } as unknown as Parameters<typeof jobParts>[0];
    expect(jobParts(older)).toEqual(jobParts({ ...handed, origin: openAiOrigin(CALL) }));
    const plain = { ...handed, request: null } as unknown as Parameters<typeof jobParts>[0];
    expect(jobParts(plain)).toEqual(jobParts({ ...handed, origin: null }));
  });
});
