// What a client sees that has too many open requests at an endpoint: an answer, at once or a little later, never a lost job.
import { env, exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { HeldCalls } from "../../../src/broker/jobs/held-calls.ts";
import { brokerOf } from "../../../src/dispatch/broker-client.ts";
import { makePulling, makeReadyPulling } from "../../support/pulling.ts";

afterEach(() => vi.restoreAllMocks());

const statusSchema = z.object({ id: z.string(), status: z.string(), output: z.unknown().optional() });

it("/runsync and /status-sync answer with the state as it is, and /status has the result", async () => {
  vi.spyOn(HeldCalls.prototype, "hasRoom").mockReturnValue(false);
  const pulling = await makePulling();
  const startedMs = performance.now();
  const answer = await pulling.asClient("runsync?wait=60000", '{"input":{}}');
  const { id, status } = statusSchema.parse(await answer.json());
  expect([answer.status, status]).toEqual([200, "IN_QUEUE"]);
  const again = statusSchema.parse(await (await pulling.asClient(`status-sync/${id}?wait=60000`)).json());
  expect(again.status).toBe("IN_QUEUE");
  expect(performance.now() - startedMs).toBeLessThan(10_000);
  expect(await pulling.takeOne()).toBe(id);
  await pulling.done(id, '{"output":7}');
  const done = statusSchema.parse(await (await pulling.asClient(`status-sync/${id}?wait=60000`)).json());
  expect(done).toMatchObject({ status: "COMPLETED", output: 7 });
});

it("a reader of events is refused with Retry-After, before it has read anything", async () => {
  const pulling = await makePulling();
  const id = await pulling.submit("{}");
  vi.spyOn(HeldCalls.prototype, "hasRoom").mockReturnValue(false);
  const headers = { authorization: `Bearer ${pulling.tenant.key}`, accept: "text/event-stream" };
  const url = `https://waybill.test/v2/${pulling.tenant.endpointId}/stream/${id}`;
  const refused = await exports.default.fetch(new Request(url, { headers }));
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  await brokerOf(env, pulling.tenant.endpointId).cancel({ tenantId: pulling.tenant.tenantId, jobId: id });
  const over = await exports.default.fetch(new Request(url, { headers }));
  expect(over.status).toBe(200);
  expect(await over.text()).toContain("CANCELLED");
});

it("RunPod's stream and a client of OpenAI's get all of it, only later", { timeout: 20_000 }, async () => {
  vi.spyOn(HeldCalls.prototype, "hasRoom").mockReturnValue(false);
  const pulling = await makeReadyPulling({ workerKeys: [{ slots: 2 }] });
  const answer = pulling.asClient("openai/v1/chat/completions", '{"model":"m","messages":[]}');
  const id = await pulling.takeOne();
  const output = { object: "chat.completion", choices: [], usage: { prompt_tokens: 1, completion_tokens: 1 } };
  await pulling.done(id, JSON.stringify({ output: [output] }));
  expect(await (await answer).json()).toEqual(output);
  const streamed = await pulling.submit("{}");
  const drained = pulling.asClient(`stream/${streamed}`);
  expect(await pulling.takeOne()).toBe(streamed);
  await pulling.asWorker(`job-stream/WORKER/${streamed}?gpu=SIM`, { body: '{"output":"chunk"}' });
  expect(await (await drained).json()).toMatchObject({ stream: [{ output: "chunk" }] });
});
