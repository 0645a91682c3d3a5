// A deployment may be rolled back: what this release writes has, beside its own names, those that the release before reads.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import { openAiOrigin } from "../../../src/contract/openai-origin.ts";
import { holdCarriers, makeBroker, submission } from "../../support/broker.ts";
import { openAiRequest } from "../../support/openai-request.ts";
import { pullingWorker, pullOnly } from "../../support/pulling-worker.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

/** The facts of the only job. */
async function factsOf(endpointId: string): Promise<unknown> {
  const facts = await runInDurableObject(env.ENDPOINT_BROKER.getByName(endpointId), (_, { storage }) => {
    return storage.sql.exec<{ facts: string }>("SELECT facts FROM jobs").one().facts;
  });
  return JSON.parse(facts);
}

it("names the upstream of a lease, without which that release could not start", async () => {
  const given = holdCarriers();
  const { endpointId, broker } = await makeBroker();
  await broker.submit(submission());
  await broker.start();
  await vi.waitFor(() => expect(given).toHaveLength(1));
  expect(await factsOf(endpointId)).toMatchObject({ lease: { upstreamId: "u1", holderId: "u1" } });
});

it("names the slots of former workers", async () => {
  const { endpointId, broker } = await makeBroker(pullOnly);
  const worker = pullingWorker(broker, "pod-1");
  await broker.submit(submission());
  const { jobId } = await worker.takeOne();
  await worker.done(jobId);
  expect(await factsOf(endpointId)).toMatchObject({ formerWorkers: [{ slotsId: "worker:key1/pod-1" }] });
});

it("has the call of an OpenAI route", async () => {
  const call = openAiRequest();
  const { endpointId, broker } = await makeBroker({ upstreams: [] });
  await broker.submit(submission({ origin: openAiOrigin(call) }));
  expect(await factsOf(endpointId)).toMatchObject({ request: call });
});
