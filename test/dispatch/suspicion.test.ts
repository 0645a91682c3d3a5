// A status that a tenant may have caused judges no upstream: a question of our own decides, which no tenant has a part in.
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Assignment } from "../../src/contract/dispatch.ts";
import type { Upstream } from "../../src/contract/settings.ts";
import { BASE, HOSTED, HTTP, inline, LOCAL, run, type Seen, upstreamAnswers } from "../support/carrying.ts";

const OPENAI: Upstream = { ...HTTP, dialect: "openai" };

afterEach(() => vi.restoreAllMocks());

/** Where each kind is asked, and what it answers there when all is well with its address and its credential. */
const KINDS = [
  { name: "http", upstream: HTTP, question: `POST ${BASE}`, sound: 422 },
  { name: "a hosted runpod endpoint", upstream: HOSTED, question: `GET ${BASE}/health`, sound: 200 },
  { name: "a local runpod handler", upstream: LOCAL, question: `POST ${BASE}/runsync`, sound: 422 },
  { name: "openai", upstream: OPENAI, question: `GET ${BASE}/v1/models`, sound: 200 },
] as const;
const STATUSES = [401, 403, 404, 405, 301, 302, 304, 307] as const;

const jobFor = ({ dialect }: Upstream): Partial<Assignment> =>
  dialect === "openai" ? { input: inline('{"messages":[]}') } : {};

/** The job gets `status`, and the question of our own `answer`. */
function answers(status: number, answer: () => Response): Seen[] {
  return upstreamAnswers((call) => (call.body === "" ? answer() : respond(status)));
}

/** Null bodies where HTTP has none. */
function respond(status: number): Response {
  return new Response(status === 304 ? null : "no", {
    status,
    headers: { location: "https://elsewhere.example.org/" },
  });
}

describe.each(KINDS)("$name", ({ upstream, question, sound }) => {
  it.each(STATUSES)("that answers a job alone with %i stays healthy, and the job fails with it", async (status) => {
    const seen = answers(status, () => new Response("{}", { status: sound }));
    const { outcomes } = await run(upstream, { assignment: jobFor(upstream) });
    expect(outcomes).toMatchObject([{ kind: "rejected", failure: { code: "upstream_status", status } }]);
    // Of an OpenAI server these are never suspicious: a server without a list of models answers a question so, too.
    const isTold = upstream === OPENAI && [403, 404, 405].includes(status);
    expect(seen.slice(1).map((call) => `${call.method} ${call.url}`)).toEqual(isTold ? [] : [question]);
    for (const call of seen.slice(1)) {
      expect(call.headers.has("x-waybill-job")).toBe(false);
      expect(call.body).toBe("");
    }
  });

  it.each([401, 302] as const)("that answers everything with %i is unhealthy, and the job waits", async (status) => {
    answers(status, () => respond(status));
    const { outcomes } = await run(upstream, { assignment: jobFor(upstream) });
    expect(outcomes).toMatchObject([
      { kind: "upstream_unhealthy", detail: expect.stringContaining(`answered ${status}`) },
    ]);
  });

  it("that loses the connection of our question is asked once more, and found unhealthy", async () => {
    let asked = 0;
    answers(302, () => {
      asked += 1;
      if (asked === 1) throw new Error("Network connection lost.");
      return respond(302);
    });
    const { outcomes } = await run(upstream, { assignment: jobFor(upstream) });
    expect(outcomes).toMatchObject([{ kind: "upstream_unhealthy" }]);
  });

  it("that gives our question no answer is not taken from anybody for that", async () => {
    answers(401, () => {
      throw new Error("Network connection lost.");
    });
    const { outcomes } = await run(upstream, { assignment: jobFor(upstream) });
    expect(outcomes).toMatchObject([{ kind: "rejected" }]);
  });
});

it("a flood of suspicions is one question, and another status is a question of its own", async () => {
  const seen = answers(403, () => new Response("{}", { status: 422 }));
  const assignment = { endpointId: `ep-${crypto.randomUUID()}` };
  for (let made = 0; made < 5; made += 1) await run(HTTP, { assignment });
  expect(seen.filter(({ body }) => body === "")).toHaveLength(1);
});
