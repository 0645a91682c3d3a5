// A job does not depend on the client that waits for it.
import { exports } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import * as z from "zod";
import { answerUpstreams } from "../../support/broker.ts";
import { makeTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

const answered = z.object({ id: z.string(), status: z.string(), output: z.unknown().optional() });

it("a job outlives its runsync wait by 20 s: one upstream call, and the result is readable", {
  timeout: 40_000,
}, async () => {
  const tenant = await makeTenant({ upstreams: [{}] });
  const upstream = answerUpstreams(async () => {
    await scheduler.wait(21_000);
    return Response.json({ done: true });
  });
  const ask = async (method: string, route: string, body: string | null) => {
    const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
    const request = new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, { method, headers, body });
    return answered.parse(await (await exports.default.fetch(request)).json());
  };
  const cut = await ask("POST", "runsync?wait=1000", '{"input":{"n":1}}');
  expect(cut.status).toBe("IN_PROGRESS");
  const finished = await ask("GET", `status-sync/${cut.id}?wait=30000`, null);
  expect(finished).toMatchObject({ status: "COMPLETED", output: { done: true } });
  expect(upstream).toHaveBeenCalledTimes(1);
});
