// A `handler.py --rp_serve_api` that was added as a hosted endpoint: it keeps what `/run` brings and runs nothing. That is found out
// within a few polls, its jobs run by `/runsync`, and nothing is billed that the upstream never said to have run.
import { afterEach, describe, expect, it, vi } from "vitest";
import { UPSTREAM_POLL_MAX_MS } from "../../src/core/limits.ts";
import { BASE, HOSTED, inline, jumpingClock, run, type Seen, upstreamAnswers } from "../support/carrying.ts";

afterEach(() => vi.restoreAllMocks());

/** As the server of runpod 1.6 to 2.0 answers: its routes take POST alone, and it has no `/health`. */
function servesApi(): Seen[] {
  return upstreamAnswers((call) => {
    const path = call.url.slice(BASE.length);
    if (path === "/run") return Response.json({ id: "test-1", status: "IN_PROGRESS" });
    if (path === "/runsync") return Response.json({ id: "test-2", status: "COMPLETED", output: { n: 1 } });
    const isKnown = path.startsWith("/status/") || path.startsWith("/stream/");
    return Response.json({ detail: "no" }, { status: isKnown ? 405 : 404 });
  });
}

const pathsOf = (seen: readonly Seen[]) => seen.map(({ method, url }) => `${method} ${url.slice(BASE.length)}`);

describe("a handler with --rp_serve_api that was added as a hosted endpoint", () => {
  it("is found out at its first refused poll, and runs the job in the same attempt", async () => {
    const seen = servesApi();
    const ran: unknown[] = [];
    const assignment = { endpointId: `ep-${crypto.randomUUID()}` };
    const clock = jumpingClock();
    const startedMs = clock.now();
    const leaseApi = { noteRunning: async (call: unknown) => ran.push(call) > 0 };
    const { outcomes } = await run(HOSTED, { assignment, clock, leaseApi });
    expect(outcomes).toEqual([{ kind: "completed", output: inline('{"n":1}') }]);
    expect(pathsOf(seen)).toEqual(["POST /run", "GET /status/test-1", "GET /health", "POST /runsync"]);
    expect(clock.now() - startedMs).toBeLessThan(2_000);
    expect(ran).toHaveLength(1);
    seen.length = 0;
    await run(HOSTED, { assignment, clock, leaseApi });
    expect(pathsOf(seen)).toEqual(["POST /runsync"]);
  });

  it("runs its job though the broker does not answer for a moment: nothing has begun that could be billed", async () => {
    servesApi();
    let asked = 0;
    const noteRunning = async (): Promise<boolean> => {
      asked += 1;
      if (asked === 1) throw new Error("the broker was replaced");
      return true;
    };
    const assignment = { endpointId: `ep-${crypto.randomUUID()}` };
    const { outcomes } = await run(HOSTED, { assignment, leaseApi: { noteRunning }, clock: jumpingClock() });
    expect(outcomes).toMatchObject([{ kind: "completed" }]);
  });

  it("is unhealthy, by name, for a job that is longer than one HTTP call may be", async () => {
    const seen = servesApi();
    const { outcomes } = await run(HOSTED, { assignment: { executionTimeoutMs: 3_600_000 } });
    expect(outcomes).toMatchObject([
      { kind: "upstream_unhealthy", detail: expect.stringContaining("add it with --local-server") },
    ]);
    expect(pathsOf(seen)).not.toContain("POST /runsync");
  });
});

describe("a hosted endpoint", () => {
  it.each([401, 403, 405, 302])("that refuses its polls with %i is told of within a few of them", async (status) => {
    const seen = upstreamAnswers((call) => {
      if (call.url.endsWith("/run")) return Response.json({ id: "up-1", status: "IN_QUEUE" });
      if (call.url.endsWith("/health")) return Response.json({ jobs: {} });
      return new Response("no", { status });
    });
    const clock = jumpingClock();
    const startedMs = clock.now();
    const { outcomes } = await run(HOSTED, { clock });
    expect(outcomes).toMatchObject([
      { kind: "upstream_unhealthy", detail: expect.stringContaining(`answered ${status}`) },
    ]);
    expect(clock.now() - startedMs).toBeLessThan(15_000);
    // Its run is taken up again once it can be asked.
    expect(pathsOf(seen).some((path) => path.includes("/cancel"))).toBe(false);
  });

  it("has its job told as running at the first IN_PROGRESS, once, and again until the broker has taken it", async () => {
    const polls = ["IN_QUEUE", "IN_PROGRESS", "IN_PROGRESS", "IN_PROGRESS", "COMPLETED"];
    const told: number[] = [];
    let at = 0;
    upstreamAnswers((call) => {
      if (call.url.endsWith("/run")) return Response.json({ id: "up-1", status: "IN_QUEUE" });
      return Response.json({ id: "up-1", status: polls[at++] ?? "COMPLETED" });
    });
    const noteRunning = async (): Promise<boolean> => {
      told.push(at);
      if (told.length === 1) throw new Error("the broker was replaced");
      return true;
    };
    expect((await run(HOSTED, { leaseApi: { noteRunning } })).outcomes).toMatchObject([{ kind: "completed" }]);
    expect(told).toEqual([2, 3]);
  });

  it("whose run nobody has seen is billed from the last look that found it waiting", async () => {
    const polls = ["IN_QUEUE", "IN_QUEUE", "IN_QUEUE", "COMPLETED"];
    const clock = jumpingClock();
    const looks: number[] = [];
    upstreamAnswers((call) => {
      if (call.url.endsWith("/run")) return Response.json({ id: "up-1", status: "IN_QUEUE" });
      looks.push(clock.now());
      return Response.json({ id: "up-1", status: polls[looks.length - 1] ?? "COMPLETED" });
    });
    const { outcomes } = await run(HOSTED, { clock });
    expect(outcomes).toMatchObject([{ kind: "completed", ranMaxMs: Math.ceil((looks[3] ?? 0) - (looks[2] ?? 0)) }]);
  });

  it("that had waited until a hand-over is not billed for all of that when its next look finds it done", async () => {
    upstreamAnswers(() => Response.json({ id: "up-1", status: "COMPLETED" }));
    const { outcomes } = await run(HOSTED, { assignment: { upstreamJobId: "up-1" }, clock: jumpingClock() });
    const ranMaxMs = outcomes[0]?.kind === "completed" ? outcomes[0].ranMaxMs : undefined;
    expect(ranMaxMs).toBeGreaterThan(UPSTREAM_POLL_MAX_MS);
    expect(ranMaxMs).toBeLessThan(UPSTREAM_POLL_MAX_MS + 1_000);
  });
});
