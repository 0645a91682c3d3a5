// What runpod 2.0.0rc2 sends when a prestart hook fails: reports in place of results, takes that are cut, heartbeats that go on.
import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { ERROR_TEXT_MAX_BYTES, START_FAILURES_MAX } from "../../../src/core/limits.ts";
import { makePulling, type Pulling } from "../../support/pulling.ts";
import type { TestTenantOptions } from "../../support/tenant.ts";

const SDK = "2.0.0rc2";
const POSTED_WITHIN_MS = 10_000;

function report(workerId: string, more: object = {}): string {
  return JSON.stringify({
    error: JSON.stringify({
      event: "prestart_failed",
      error_type: "RuntimeError",
      error_message: "no GPU",
      error_traceback: "Traceback (most recent call last):\n…\nRuntimeError: no GPU\n",
      worker_id: workerId,
      runpod_version: SDK,
      hook: "load_model",
      ...more,
    }),
  });
}

const listSchema = z.object({ workers: z.array(z.looseObject({ id: z.string(), state: z.string() })) });
const idSchema = z.object({ id: z.string() });

async function scene(options: TestTenantOptions = {}) {
  const pulling = await makePulling(options);
  const { tenant } = pulling;
  const take = (workerId: string) =>
    pulling.asWorker("job-take/WORKER?gpu=SIM&job_in_progress=0", { workerId, version: SDK });
  const takeOne = async (workerId: string): Promise<string> => {
    const answer = await take(workerId);
    expect(answer.status).toBe(200);
    return idSchema.parse(await answer.json()).id;
  };
  const done = (id: string, body: string, workerId = "w1", version = SDK) =>
    pulling.asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=false`, { body, workerId, version });
  const list = async () => {
    const url = `https://waybill.test/v1/endpoints/${tenant.slug}/workers`;
    const answer = await exports.default.fetch(new Request(url, { headers: { authorization: tenant.key } }));
    return listSchema.parse(await answer.json()).workers;
  };
  const health = async () => (await (await pulling.asClient("health")).json<{ workers: unknown }>()).workers;
  return { ...pulling, take, takeOne, done, list, health };
}

/** The jobs of a tenant that are billed, as soon as there are so many. */
async function billed({ tenant }: Pulling, count: number): Promise<string[]> {
  const read = () =>
    env.DB.prepare("SELECT source FROM usage_lines WHERE tenant_id = ?")
      .bind(tenant.tenantId)
      .all<{ source: string }>();
  const lines = await vi.waitFor(
    async () => {
      const { results } = await read();
      expect(results.length).toBeGreaterThanOrEqual(count);
      return results;
    },
    { timeout: POSTED_WITHIN_MS, interval: 100 },
  );
  return lines.map(({ source }) => source);
}

describe("a worker whose prestart hook fails", () => {
  it("gives its job to another one, uncounted and unbilled", { timeout: 20_000 }, async () => {
    const s = await scene({ maxAttempts: 1 });
    const id = await s.submit("{}");
    expect(await s.takeOne("bad")).toBe(id);
    expect(await (await s.done(id, report("bad"), "bad")).json()).toEqual({ accepted: true });
    const waiting = await s.status(id);
    expect(waiting).toMatchObject({ status: "IN_QUEUE" });
    expect(waiting).not.toHaveProperty("retries");
    expect(await s.takeOne("good")).toBe(id);
    await s.done(id, '{"output":1}', "good");
    expect(await s.status(id)).toMatchObject({ status: "COMPLETED", output: 1, workerId: "good" });
    expect(await billed(s, 1)).toEqual([id.replace("-u1", "")]);
  });

  it("is named with its text, and stays so whatever heartbeats go on, until it asks for a job anew", async () => {
    const s = await scene();
    const id = await s.submit("{}");
    await s.takeOne("bad");
    await s.done(id, report("bad"), "bad");
    await s.ping([], "bad");
    const reason = "Its start failed in the hook load_model: RuntimeError: no GPU";
    expect(await s.list()).toMatchObject([{ id: "bad", state: "UNHEALTHY", reason }]);
    expect(await s.health()).toMatchObject({ idle: 0, ready: 0, unhealthy: 1 });
    const queue = await (await s.asClient(`status/${id}`)).json();
    const detail = "No worker takes jobs at this moment: 1 failed its start.";
    expect(queue).toMatchObject({ queue: { reason: "NO_WORKERS", detail } });
    // The next process of its id.
    expect(await s.takeOne("bad")).toBe(id);
    await s.done(id, '{"output":1}', "bad");
    expect(await s.status(id)).toMatchObject({ status: "COMPLETED" });
    expect(await s.health()).toMatchObject({ unhealthy: 0 });
  });

  it("cannot lose a job for ever: after its bound it ends with the hook's own error, unbilled", {
    timeout: 20_000,
  }, async () => {
    const s = await scene();
    const id = await s.submit("{}");
    for (let failed = 0; failed <= START_FAILURES_MAX; failed += 1) {
      expect(await s.status(id)).toMatchObject({ status: "IN_QUEUE" });
      const workerId = `bad-${failed}`;
      expect(await s.takeOne(workerId)).toBe(id);
      await s.done(id, report(workerId), workerId);
    }
    const { status, error = "" } = await s.status(id);
    expect(status).toBe("FAILED");
    expect(JSON.parse(error)).toMatchObject({ event: "prestart_failed", error_message: "no GPU", hook: "load_model" });
    const paid = await s.submit("{}");
    expect(await s.takeOne("good")).toBe(paid);
    await s.done(paid, '{"output":1}', "good");
    expect(await billed(s, 1)).toEqual([paid.replace("-u1", "")]);
  });

  it("may report at such length that only a part of it is kept, which is JSON still", async () => {
    const s = await scene();
    const id = await s.submit("{}");
    const long = { error_message: `no GPU ${"é".repeat(16_000)}`, logs: "x".repeat(16_000) };
    for (let failed = 0; failed <= START_FAILURES_MAX; failed += 1) {
      const workerId = `bad-${failed}`;
      await s.takeOne(workerId);
      await s.done(id, report(workerId, long), workerId);
    }
    const { error = "" } = await s.status(id);
    expect(error.length).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
    expect(JSON.parse(error)).toMatchObject({ event: "prestart_failed", worker_id: `bad-${START_FAILURES_MAX}` });
  });

  it("and cuts the take that brings a job, has that job again by its second take, and it goes on to another", async () => {
    const s = await scene({ maxAttempts: 1 });
    const id = await s.submit("{}");
    // Its answer is never read.
    await s.takeOne("bad");
    const askedAtMs = Date.now();
    expect(await s.takeOne("bad")).toBe(id);
    expect(Date.now() - askedAtMs).toBeLessThan(500);
    await s.done(id, report("bad"), "bad");
    await s.ping([], "bad");
    expect(await s.takeOne("good")).toBe(id);
    expect(await s.status(id)).not.toHaveProperty("retries");
  });

  it("gives back at once what else its process holds", async () => {
    const s = await scene({ workerKeys: [{ slots: 2 }], maxAttempts: 1 });
    const ids = [await s.submit("1"), await s.submit("2")];
    const batch = await s.asWorker("job-take-batch/WORKER?batch_size=2&job_in_progress=0", {
      workerId: "bad",
      version: SDK,
    });
    expect(z.array(idSchema).parse(await batch.json())).toHaveLength(2);
    await s.done(ids[0] ?? "", report("bad"), "bad");
    for (const id of ids) expect(await s.status(id)).toMatchObject({ status: "IN_QUEUE" });
    // Its own report of the second one finds nothing to end, and is no proof of a second process.
    expect(await (await s.done(ids[1] ?? "", report("bad"), "bad")).json()).toEqual({ accepted: false });
    expect(await s.status(ids[1] ?? "")).toMatchObject({ status: "IN_QUEUE" });
    expect(await s.list()).toMatchObject([{ reason: expect.stringContaining("Its start failed") }]);
  });
});

describe("a worker that is shut down before its start is done", () => {
  it("gives its job to another one, and is offered no other", async () => {
    const s = await scene({ maxAttempts: 1 });
    const id = await s.submit("{}");
    await s.takeOne("w1");
    await s.done(id, report("w1", { event: "prestart_cancelled" }), "w1");
    expect(await s.status(id)).toMatchObject({ status: "IN_QUEUE" });
    const reason = "It was shut down before its start was done.";
    expect(await s.list()).toMatchObject([{ id: "w1", state: "UNHEALTHY", reason }]);
    expect(await s.takeOne("w2")).toBe(id);
  });
});

describe("an error of a handler that reads like a failed start", () => {
  it("is the job's own where a handler has run: a client's words take no worker from others", async () => {
    const s = await scene();
    const first = await s.submit("{}");
    await s.takeOne("w1");
    await s.done(first, '{"output":1}', "w1");
    const id = await s.submit("{}");
    expect(await s.takeOne("w1")).toBe(id);
    await s.done(id, report("w1"), "w1");
    expect(await s.status(id)).toMatchObject({ status: "FAILED", error: expect.stringContaining("prestart_failed") });
    expect(await s.list()).toMatchObject([{ state: "IDLE" }]);
  });

  it("is the job's own in a release without hooks before its handlers, whether one has run or not", async () => {
    const s = await scene();
    const id = await s.submit("{}");
    await s.asWorker("job-take/WORKER?gpu=SIM&job_in_progress=0", { version: "1.12.0" });
    await s.done(id, report("w1"), "w1", "1.12.0");
    expect(await s.status(id)).toMatchObject({ status: "FAILED", error: expect.stringContaining("prestart_failed") });
    expect(await s.list()).not.toMatchObject([{ state: "UNHEALTHY" }]);
  });
});
