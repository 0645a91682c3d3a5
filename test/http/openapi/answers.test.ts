// Routes of jobs and workers answer what the description has of them, though nothing checks their bodies by it.
import { expect, it } from "vitest";
import * as z from "zod";
import type { Method } from "../../../src/http/kit/operation-doc.ts";
import { OPERATIONS } from "../../../src/http/routes.ts";
import { makePulling } from "../../support/pulling.ts";

/** Fails where the answer is not one that the operation of this path is described with. */
async function described(method: Method, path: string, response: Response): Promise<unknown> {
  const operation = OPERATIONS.find((one) => one.method === method && one.path === `/v2/:endpoint/${path}`);
  const answer = operation?.doc.answers[response.status];
  expect(answer, `${method} ${path} ${response.status}`).toBeDefined();
  const text = await response.text();
  const body: unknown = text === "" ? null : JSON.parse(text);
  const schema = answer?.schema ?? z.null();
  return (schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema).parse(body);
}

const idSchema = z.object({ id: z.string() });

it("a job from its submit to its end is answered as described", async () => {
  const { asClient, asWorker, take, done, ping } = await makePulling();
  const { id } = idSchema.parse(await described("POST", "run", await asClient("run", '{"input":{"n":1},"more":2}')));
  await described("GET", "status/:id", await asClient(`status/${id}`));
  await described("GET", "health", await asClient("health"));
  const taken = await described("GET", "job-take/:worker", await take());
  expect(taken).toMatchObject({ id, input: { n: 1 }, more: 2 });
  await described("GET", "ping/:worker", await ping([id]));
  const chunk = await asWorker(`job-stream/WORKER/${id}`, { body: '{"output":"a"}' });
  await described("POST", "job-stream/:worker/:job", chunk);
  const page = await described("GET", "stream/:id", await asClient(`stream/${id}?wait=1000`));
  expect(page).toMatchObject({ stream: [{ output: "a" }] });
  await described("POST", "job-done/:worker/:job", await done(id, '{"error":"boom"}'));
  await described("GET", "status-sync/:id", await asClient(`status-sync/${id}?wait=1000`));
  await described("POST", "retry/:id", await asClient(`retry/${id}`, "{}"));
  await described("POST", "cancel/:id", await asClient(`cancel/${id}`, "{}"));
  await described("GET", "requests", await asClient("requests"));
  await described("POST", "purge-queue", await asClient("purge-queue", "{}"));
  await described("POST", "runsync", await asClient("runsync?wait=1000", '{"input":null}'));
});
