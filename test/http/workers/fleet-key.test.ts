// The worker of a fleet's machine as it comes to the edge: its key is stored nowhere, opens its own endpoint alone, and ends with its
// machine.
import { env, exports } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { readConfig } from "../../../src/config.ts";
import { makeFleetKey } from "../../../src/outbound/fleet-key.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { fleet, useHeldProvider } from "../../support/held-provider.ts";
import { passTime, statusOf } from "../../support/pulling-worker.ts";

const provider = useHeldProvider();

/** An endpoint with a job, for which a machine was created, and the key of that machine's worker. */
async function makeMachine() {
  const { endpointId, broker } = await makeBroker({ upstreams: [], fleet: fleet() });
  const { jobId } = submission();
  await broker.submit(submission({ jobId }));
  await vi.waitFor(() => expect(provider.called("create").length).toBeGreaterThan(0));
  const instanceId = provider.called("create").at(-1)?.machine?.instanceId ?? "";
  const key = await makeFleetKey(readConfig(env).pepper, { endpointId, instanceId });
  return { endpointId, broker, jobId, instanceId, key };
}

function asWorker(endpointId: string, path: string, key: string, body?: string): Promise<Response> {
  const url = `https://waybill.test/v2/${endpointId}/${path}`;
  const headers = { authorization: key };
  return exports.default.fetch(new Request(url, body === undefined ? { headers } : { method: "POST", headers, body }));
}

describe("the worker of a machine", () => {
  it("takes a job and reports it by its own key", async () => {
    const { endpointId, broker, jobId, instanceId, key } = await makeMachine();
    const taken = await asWorker(endpointId, `job-take/${instanceId}?job_in_progress=0`, key);
    expect(z.object({ id: z.string() }).parse(await taken.json()).id).toBe(jobId);
    const done = await asWorker(endpointId, `job-done/${instanceId}/${jobId}?isStream=false`, key, '{"output":1}');
    expect(done.status).toBe(200);
    expect(await statusOf(broker, jobId)).toMatchObject({ status: "COMPLETED", workerId: instanceId });
  });

  it("is refused at another endpoint, whose machine's id it names", async () => {
    const one = await makeMachine();
    const other = await makeMachine();
    const foreign = await asWorker(other.endpointId, `job-take/${other.instanceId}?job_in_progress=0`, one.key);
    expect(foreign.status).toBe(401);
  });

  it("is refused with a key that was made up for a machine that there is not", async () => {
    const { endpointId } = await makeMachine();
    const instanceId = "zzzzzzzzzzzz";
    const key = await makeFleetKey(readConfig(env).pepper, { endpointId, instanceId });
    expect((await asWorker(endpointId, `job-take/${instanceId}?job_in_progress=0`, key)).status).toBe(401);
  });

  it("is refused once its machine is to end", async () => {
    const { endpointId, jobId, instanceId, key } = await makeMachine();
    await asWorker(endpointId, `job-take/${instanceId}?job_in_progress=0`, key);
    await asWorker(endpointId, `job-done/${instanceId}/${jobId}?isStream=false`, key, '{"output":1}');
    await passTime(endpointId, 5_500);
    await vi.waitFor(() => expect(provider.called("end")).toHaveLength(1));
    // The edge believes an earlier answer of the broker for some seconds; the broker itself does not.
    expect((await asWorker(endpointId, `job-take/${instanceId}?job_in_progress=0`, key)).status).toBe(401);
  });
});
