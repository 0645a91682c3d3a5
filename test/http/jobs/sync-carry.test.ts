// /runsync: a quick job is answered in one piece, the status line of a longer one comes before its result, and its own
// request carries the job where the rules let it.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import { SYNC_HEAD_AFTER_MS } from "../../../src/core/limits.ts";
import { Carrier } from "../../../src/dispatch/carrier.ts";
import { answerUpstreams } from "../../support/broker.ts";
import { makeTenant, type TestTenantOptions } from "../../support/tenant.ts";

const POLL = { timeout: 10_000, interval: 10 };
/** Its timeout ends before the wait, so its own request carries it. */
const CARRIED = '{"input":{"n":1.0},"policy":{"executionTimeout":60000}}';

/** What the log has of a request that is over. */
const ended = z.object({ tookMs: z.number().optional() });

afterEach(() => vi.restoreAllMocks());

async function client(options: TestTenantOptions = {}) {
  const tenant = await makeTenant({ upstreams: [{}], ...options });
  const ask = (
    path: string,
    body: string | null = null,
    headers: Record<string, string> = {},
    signal: AbortSignal | null = null,
  ) =>
    exports.default.fetch(
      new Request(`https://waybill.test${path}`, {
        method: body === null ? "GET" : "POST",
        headers: { authorization: tenant.key, "content-type": "application/json", ...headers },
        body,
        signal,
      }),
    );
  return {
    ask,
    sync: (body: string, headers: Record<string, string> = {}, signal: AbortSignal | null = null) =>
      ask(`/v2/${tenant.endpointId}/runsync`, body, headers, signal),
    endpointId: tenant.endpointId,
  };
}

function gate() {
  let isOpen = false;
  return {
    open: () => {
      isOpen = true;
    },
    passed: async () => {
      while (!isOpen) await scheduler.wait(5);
    },
  };
}

/** What an upstream is sent. */
const called = z.object({ id: z.string() });

describe("/runsync", () => {
  it("answers in one piece if the job ends at once", async () => {
    answerUpstreams(() => Response.json({ done: true }));
    const { sync } = await client();
    await (await sync(CARRIED)).text();
    const finish = vi.spyOn(EndpointBroker.prototype, "finish");
    const answer = await sync(CARRIED);
    expect(finish).toHaveBeenCalledOnce();
    expect(answer.headers.get("x-job-id")).toMatch(/^sync-/);
    expect(await answer.json()).toMatchObject({ id: answer.headers.get("x-job-id"), status: "COMPLETED" });
  });

  it("sends its status line with the job's id while the job runs, a quarter of a second after the request", async () => {
    const { open, passed } = gate();
    answerUpstreams(async () => {
      await passed();
      return Response.json({ done: true });
    });
    const { ask, sync, endpointId } = await client();
    const answer = await sync('{"input":{}}');
    const id = answer.headers.get("x-job-id");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("location")).toBe(`/v2/${endpointId}/status/${id}`);
    expect(await (await ask(answer.headers.get("location") ?? "")).json()).toMatchObject({ id });
    open();
    expect(await answer.json()).toMatchObject({ id, status: "COMPLETED", output: { done: true } });
  });

  it("ends with its job, though its client has gone before the status line", async () => {
    const { open, passed } = gate();
    const upstream = answerUpstreams(async () => {
      await passed();
      return Response.json({ done: true });
    });
    const { sync } = await client();
    const lines = vi.spyOn(console, "log");
    const leaving = new AbortController();
    const asked = sync(CARRIED, {}, leaving.signal);
    const left = expect(asked).rejects.toThrow();
    await vi.waitFor(() => expect(upstream).toHaveBeenCalled(), POLL);
    leaving.abort();
    await left;
    await scheduler.wait(2 * SYNC_HEAD_AFTER_MS);
    open();
    // No other request of these tests takes so long.
    const took = () => lines.mock.calls.map(([line]) => ended.parse(JSON.parse(line)).tookMs ?? 0);
    await vi.waitFor(() => expect(Math.max(...took())).toBeGreaterThanOrEqual(2 * SYNC_HEAD_AFTER_MS), POLL);
  });

  it("costs two broker calls and no message when its own request carries the job", async () => {
    answerUpstreams(() => Response.json({ done: true }));
    const { sync } = await client();
    await (await sync(CARRIED)).text();
    const names = ["submit", "finish", "wait", "renew", "start"] as const;
    const calls = names.map((name) => vi.spyOn(EndpointBroker.prototype, name));
    const carried = vi.spyOn(Carrier.prototype, "carry");
    const sent = vi.spyOn(env.DISPATCH, "send");
    const answer = await sync(CARRIED);
    expect(await answer.json()).toMatchObject({
      status: "COMPLETED",
      output: { done: true },
      workerId: expect.any(String),
    });
    expect(calls.map(({ mock }) => mock.calls.length)).toEqual([1, 1, 0, 0, 0]);
    expect(carried).not.toHaveBeenCalled();
    expect(sent).not.toHaveBeenCalled();
  });

  it("gets the result of the second attempt in the same wait", async () => {
    // By job: a job of an earlier file of tests may be tried again meanwhile, and would be counted as this one.
    const callsOf = new Map<string, number>();
    answerUpstreams(async (request) => {
      const { id } = called.parse(await request.json());
      const calls = (callsOf.get(id) ?? 0) + 1;
      callsOf.set(id, calls);
      return calls === 1 ? new Response("boom", { status: 500 }) : Response.json({ calls });
    });
    const { sync } = await client();
    expect(await (await sync(CARRIED)).json()).toMatchObject({ status: "COMPLETED", output: { calls: 2 }, retries: 1 });
  });

  it("gives a result of any size", async () => {
    const large = JSON.stringify("x".repeat(300_000));
    answerUpstreams(() => new Response(large, { headers: { "content-type": "application/json" } }));
    const { sync } = await client();
    expect(await (await sync(CARRIED)).json()).toMatchObject({ status: "COMPLETED", output: "x".repeat(300_000) });
  });

  it("gives a refused input as the job's error", async () => {
    answerUpstreams(() => new Response("no such thing", { status: 422 }));
    const { sync } = await client();
    expect(await (await sync(CARRIED)).json()).toMatchObject({
      status: "FAILED",
      error: expect.stringContaining("422"),
    });
  });

  it("answers with the job as it stands when its wait is over, and the job runs on", async () => {
    const { open, passed } = gate();
    answerUpstreams(async () => {
      await passed();
      return Response.json({ done: true });
    });
    const { ask, endpointId } = await client();
    const body = '{"input":{},"policy":{"executionTimeout":5000}}';
    const waiting = await ask(`/v2/${endpointId}/runsync?wait=1000`, body);
    const answer = z.object({ id: z.string(), status: z.string() }).parse(await waiting.json());
    expect(answer.status).toBe("IN_PROGRESS");
    open();
    await vi.waitFor(async () => {
      expect(await (await ask(`/v2/${endpointId}/status/${answer.id}`)).json()).toMatchObject({ status: "COMPLETED" });
    }, POLL);
  });

  it("joins the wait of the same Idempotency-Key, while that one's request carries the job", async () => {
    const { open, passed } = gate();
    // Its own: a job of an earlier file of tests may be tried again meanwhile.
    const url = `https://${crypto.randomUUID()}.example.com/`;
    let calls = 0;
    answerUpstreams(async (request) => {
      if (request.url === url) calls += 1;
      await passed();
      return Response.json({ done: true });
    });
    const { sync } = await client({ upstreams: [{ url }] });
    const key = { "idempotency-key": "again" };
    const first = await sync(CARRIED, key);
    const second = await sync(CARRIED, key);
    expect(second.headers.get("x-job-id")).toBe(first.headers.get("x-job-id"));
    open();
    expect(await second.json()).toEqual(await first.json());
    expect(calls).toBe(1);
  });
});
