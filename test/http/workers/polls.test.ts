// What an unmodified RunPod worker posts, odd as it is: labels, numbers and addresses that others would refuse, reports that
// are doubled, late or not its own, and bodies that are too large for a row.
import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { ERROR_TEXT_MAX_BYTES } from "../../../src/core/limits.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makePulling, type Pulling } from "../../support/pulling.ts";
import type { TestTenantOptions } from "../../support/tenant.ts";

const LARGE_TEXT = "x".repeat(1024 * 1024);
const accepted = { accepted: true };
const refused = { accepted: false };

/** A job that worker `w1` holds. */
async function heldJob(input = "{}", options: TestTenantOptions = {}): Promise<Pulling & { readonly id: string }> {
  const pulling = await makePulling(options);
  await pulling.submit(input);
  return { ...pulling, id: await pulling.takeOne() };
}

async function stored({ tenant }: Pulling): Promise<string[]> {
  return (await env.PAYLOADS.list({ prefix: `${tenant.endpointId}/` })).objects.map(({ key }) => key);
}

describe("a result", () => {
  it("is JSON although it is labelled as a form, and keeps every byte", async () => {
    const job = await heldJob();
    const output = '[1, {"a": "é", "n": 1.0, "big": 12345678901234567890}]';
    expect(await (await job.done(job.id, `{"output": ${output}}`)).json()).toEqual(accepted);
    const answer = await (await job.asClient(`status/${job.id}`)).text();
    expect(answer).toContain(`"output":${output}`);
    expect(answer).toContain('"status":"COMPLETED"');
  });

  it("may have NaN and Infinity, which clients see as null", async () => {
    const job = await heldJob();
    await job.done(job.id, '{"output": {"a": NaN, "b": [Infinity, -Infinity], "c": "NaN"}}');
    expect(await job.status(job.id)).toMatchObject({
      status: "COMPLETED",
      output: { a: null, b: [null, null], c: "NaN" },
    });
  });

  it("that is no JSON settles its attempt, because the worker will not send another one", async () => {
    for (const body of ['{"output": {"a": ', "output=1", "[1]"]) {
      const job = await heldJob("{}", { maxAttempts: 1 });
      expect(await (await job.done(job.id, body)).json()).toEqual(accepted);
      expect(await job.status(job.id)).toMatchObject({
        status: "FAILED",
        error: expect.stringContaining("the worker's result is not valid"),
      });
    }
  });

  it("that is an error of 70 KB as runpod's SDK writes it stays JSON, in the status and on an OpenAI route", async () => {
    const error = JSON.stringify({
      error_type: "<class 'ValueError'>",
      error_message: "boom é",
      error_traceback: `Traceback (most recent call last):\n${"é".repeat(35_000)}\nValueError: boom é\n`,
      hostname: "wk1-host",
      worker_id: "wk1",
    });
    const job = await heldJob();
    expect(await (await job.done(job.id, JSON.stringify({ error }))).json()).toEqual(accepted);
    const { status, error: shown = "" } = await job.status(job.id);
    expect(status).toBe("FAILED");
    expect(new TextEncoder().encode(shown).length).toBeLessThanOrEqual(ERROR_TEXT_MAX_BYTES);
    expect(JSON.parse(shown)).toMatchObject({
      error_message: "boom é",
      error_traceback: expect.stringMatching(/^é{10000,}\nValueError: boom é\n$/),
      hostname: "wk1-host",
      worker_id: "wk1",
    });

    const asking = job.asClient("openai/v1/chat/completions", '{"model":"m","messages":[]}');
    const id = await vi.waitFor(() => job.takeOne());
    await job.done(id, JSON.stringify({ error: `${"x".repeat(20_000)} end` }));
    const answer = await asking;
    expect(answer.status).toBe(500);
    expect(await answer.json()).toMatchObject({ error: { message: `${"x".repeat(20_000)} end` } });
  });

  it("counts once when it is posted twice, one after the other and at once", async () => {
    const job = await heldJob();
    expect(await (await job.done(job.id, '{"output":1}')).json()).toEqual(accepted);
    expect(await (await job.done(job.id, '{"output":2}')).json()).toEqual(refused);
    expect(await job.status(job.id)).toMatchObject({ status: "COMPLETED", output: 1 });
    const other = await heldJob();
    const posts = await Promise.all(Array.from({ length: 5 }, () => other.done(other.id, '{"output":1}')));
    const replies = await Promise.all(posts.map(async (post) => JSON.stringify(await post.json())));
    expect(replies.filter((reply) => reply === JSON.stringify(accepted))).toHaveLength(1);
  });

  it("of an unknown job is 404, and one of a worker that does not hold the job changes nothing", async () => {
    const job = await heldJob();
    for (const id of ["0193a0f2-7b1c-7def-8a11-0123456789ab-u1", "none"])
      expect((await job.done(id, '{"output":1}')).status).toBe(404);
    expect(await (await job.done(job.id, '{"output":"foreign"}', "w2")).json()).toEqual(refused);
    expect(await (await job.done(job.id, '{"output": {"a": ', "w2")).json()).toEqual(refused);
    const running = await job.status(job.id);
    expect(running).toMatchObject({ status: "IN_PROGRESS" });
    expect(running).not.toHaveProperty("retries");
    expect(await (await job.done(job.id, '{"output":"own"}')).json()).toEqual(accepted);
    expect(await job.status(job.id)).toMatchObject({ status: "COMPLETED", output: "own" });
  });

  it("of a worker without a proper name is refused by name", async () => {
    const job = await heldJob();
    const answer = await job.done(job.id, '{"output":1}', "two%20words");
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      field: "worker id",
      message: expect.stringContaining("RUNPOD_POD_ID"),
    });
    expect(await job.status(job.id)).toMatchObject({ status: "IN_PROGRESS" });
  });
});

describe("progress", () => {
  it("shows while the job runs, and means nothing after its end", async () => {
    const job = await heldJob();
    await job.done(job.id, '{"status": "IN_PROGRESS", "output": "25%"}');
    expect(await job.status(job.id)).toMatchObject({ status: "IN_PROGRESS", output: "25%" });
    await job.done(job.id, '{"output": "done"}');
    const late = await job.done(job.id, '{"status": "IN_PROGRESS", "output": "99%"}');
    expect(late.status).toBe(200);
    expect(await late.json()).toEqual(refused);
    expect(await job.status(job.id)).toMatchObject({ status: "COMPLETED", output: "done" });
  });

  it("that is large is not shown, and leaves nothing in R2", async () => {
    const job = await heldJob();
    const posted = await job.done(job.id, `{"status": "IN_PROGRESS", "output": "${LARGE_TEXT}"}`);
    expect(await posted.json()).toEqual(accepted);
    expect(await job.status(job.id)).toMatchObject({ status: "IN_PROGRESS", output: null });
    expect(await stored(job)).toEqual([]);
  });
});

describe("a HEAD", () => {
  it("takes no job, because its answer has no body", { timeout: 15_000 }, async () => {
    const pulling = await makePulling();
    const id = await pulling.submit("{}");
    const url = `https://waybill.test/v2/${pulling.tenant.endpointId}/job-take/w1?job_in_progress=0`;
    const headers = { authorization: pulling.tenant.workerKeys[0] ?? "" };
    expect((await exports.default.fetch(new Request(url, { method: "HEAD", headers }))).status).toBe(405);
    expect(await pulling.status(id)).toMatchObject({ status: "IN_QUEUE" });
  });
});

describe("an address without its question mark", () => {
  it("takes a job and ends it all the same", async () => {
    const pulling = await makePulling();
    const id = await pulling.submit("{}");
    const taken = await pulling.asWorker("job-take/WORKER&job_in_progress=0");
    expect(await taken.json()).toMatchObject({ id });
    expect((await pulling.asWorker(`ping/WORKER&job_id=${id}&runpod_version=1.12.0`)).status).toBe(200);
    const done = await pulling.asWorker(`job-done/WORKER/${id}&isStream=false`, { body: '{"output":"plain"}' });
    expect(await done.json()).toEqual(accepted);
    expect(await pulling.status(id)).toMatchObject({ status: "COMPLETED", output: "plain", workerId: "w1" });
  });

  it("says as well that the worker leaves, whose open poll is answered and given nothing", async () => {
    const pulling = await makePulling();
    const polling = pulling.asWorker("job-take/WORKER&job_in_progress=0");
    await vi.waitFor(async () =>
      expect(await (await pulling.asClient("health")).json()).toMatchObject({ workers: { ready: 1 } }),
    );
    expect((await pulling.asWorker("ping/WORKER&leaving=1")).status).toBe(202);
    const id = await pulling.submit("{}");
    expect((await polling).status).toBe(204);
    expect(await pulling.status(id)).toMatchObject({ status: "IN_QUEUE" });
  });

  it("says as well that a stream has ended", async () => {
    const job = await heldJob();
    await job.asWorker(`job-stream/WORKER/${job.id}&isStream=false`, { body: '{"output":"chunk"}' });
    await job.asWorker(`job-done/WORKER/${job.id}&isStream=true`, { body: '{"output":[]}' });
    expect(await job.status(job.id)).toMatchObject({ status: "COMPLETED", output: ["chunk"] });
  });
});

describe("what is too large for a row", () => {
  it("reaches the worker from R2 byte for byte, and comes back", async () => {
    const input = `[1.0,1e21,-0.0,12345678901234567890,"\\u2028","\u2028","\\/","${LARGE_TEXT}"]`;
    const pulling = await makePulling();
    const id = await pulling.submit(input);
    expect(await stored(pulling)).toHaveLength(1);
    const taken = await pulling.take();
    expect(await taken.text()).toBe(`{"id":"${id}","input":${input}}`);
    expect(await (await pulling.done(id, `{"output":${input}}`)).json()).toEqual(accepted);
    expect(await (await pulling.asClient(`status/${id}`)).text()).toContain(`"output":${input},`);
    expect(await stored(pulling)).toHaveLength(2);
  });

  it("is left nowhere by a report that is refused", async () => {
    const job = await heldJob("{}", { maxAttempts: 1 });
    const large = `{"output":"${LARGE_TEXT}"}`;
    expect(await (await job.done(job.id, large, "w2")).json()).toEqual(refused);
    expect((await job.done("0193a0f2-7b1c-7def-8a11-0123456789ab-u1", large)).status).toBe(404);
    expect(await (await job.done(job.id, `${large.slice(0, -1)},"error":`, "w2")).json()).toEqual(refused);
    expect(await stored(job)).toEqual([]);
    await job.done(job.id, '{"output":"small"}');
    expect(await (await job.done(job.id, large)).json()).toEqual(refused);
    expect(await stored(job)).toEqual([]);
    expect(await job.status(job.id)).toMatchObject({ status: "COMPLETED", output: "small" });
  });
});

describe("a submit", () => {
  const answerOf = async (answer: Response) => answer.json();

  it("is answered IN_QUEUE although a worker that waits has the job at once, after /run and after /retry", async () => {
    const pulling = await makePulling({ maxAttempts: 1 });
    const taking = pulling.take();
    await vi.waitFor(async () =>
      expect(await answerOf(await pulling.asClient("health"))).toMatchObject({ workers: { ready: 1 } }),
    );
    const key = { "idempotency-key": crypto.randomUUID() };
    const ran = await pulling.asClient("run", '{"input":1}', key);
    const { id, status } = z.strictObject({ id: z.string(), status: z.string() }).parse(await answerOf(ran));
    expect(status).toBe("IN_QUEUE");
    expect(await (await taking).json()).toMatchObject({ id });
    expect(await answerOf(await pulling.asClient("run", '{"input":1}', key))).toEqual({ id, status: "IN_PROGRESS" });
    await pulling.done(id, '{"error":"no"}');
    expect(await pulling.status(id)).toMatchObject({ status: "FAILED" });
    const again = pulling.take();
    await vi.waitFor(async () =>
      expect(await answerOf(await pulling.asClient("health"))).toMatchObject({ workers: { ready: 1 } }),
    );
    expect(await answerOf(await pulling.asClient(`retry/${id}`, ""))).toEqual({ id, status: "IN_QUEUE" });
    expect(await (await again).json()).toMatchObject({ id });
  });
});

describe("a take", () => {
  const idsOf = z.array(z.object({ id: z.string(), input: z.number() }));

  it("gives an object, and one of a batch a list, also of one job", async () => {
    const pulling = await makePulling({ workerKeys: [{ slots: 3 }] });
    for (const n of [1, 2, 3]) await pulling.submit(String(n));
    const plain = await (await pulling.take()).json();
    expect(plain).toMatchObject({ input: 1 });
    const batch = (size: number, workerId: string) =>
      pulling.asWorker(`job-take-batch/WORKER?gpu=SIM&batch_size=${size}&job_in_progress=1`, { workerId });
    expect(idsOf.parse(await (await batch(4, "w1")).json()).map(({ input }) => input)).toEqual([2, 3]);
    await pulling.submit("4");
    expect(idsOf.parse(await (await batch(1, "w2")).json()).map(({ input }) => input)).toEqual([4]);
  });

  it("is answered 204 without a body when its worker is taken out of service", async () => {
    const pulling = await makePulling();
    const { tenantId, endpointId } = pulling.tenant;
    const taking = pulling.take();
    await vi.waitFor(async () =>
      expect(await brokerOf(env, endpointId).drainWorker({ tenantId, workerId: "w1", draining: true })).toBe(true),
    );
    const answer = await taking;
    expect(answer.status).toBe(204);
    expect(await answer.text()).toBe("");
  });
});
