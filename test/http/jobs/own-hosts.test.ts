// Nothing that a tenant or an operator gives leads Waybill to itself. In these tests LB_DOMAIN is lb.waybill.test.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { readConfig } from "../../../src/config.ts";
import type { Upstream } from "../../../src/contract/settings.ts";
import { Prober } from "../../../src/dispatch/prober.ts";
import { cancelUpstreamJob } from "../../../src/dispatch/runpod.ts";
import { tryDelivery } from "../../../src/dispatch/webhook-sender.ts";
import { seal } from "../../../src/outbound/credentials.ts";
import { openTunnel } from "../../../src/outbound/tunnel.ts";
import { answerUpstreams, upstream } from "../../support/broker.ts";
import { openAiClient } from "../../support/openai-client.ts";
import { makeTenant } from "../../support/tenant.ts";
import { deliveryOf } from "../../support/webhooks.ts";

const POLL = { timeout: 5_000, interval: 10 };
const OWN = "http://EP.lb.waybill.test./run";

afterEach(() => vi.restoreAllMocks());

describe("the deployment's own host", () => {
  it("is refused as a webhook when the job is submitted", async () => {
    const { runs } = await openAiClient();
    const answer = await runs({ input: {}, webhook: OWN });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: "webhook: must not lead to this deployment itself" });
  });

  it("is refused as a webhook by the name that the request came to, whether or not a setting has it", async () => {
    const { runs } = await openAiClient();
    for (const webhook of ["https://waybill.test/v2/ep/run", "https://WAYBILL.test./"]) {
      const answer = await runs({ input: {}, webhook });
      expect(answer.status).toBe(400);
      expect(await answer.json()).toMatchObject({ error: "webhook: must not lead to this deployment itself" });
    }
    // What one request came to says nothing about another: a client may write any Host to a broker on its own machine.
    const { tenant } = await openAiClient({ upstreams: [] });
    const submit = (host: string, webhook: string) =>
      exports.default.fetch(`https://${host}/v2/${tenant.endpointId}/run`, {
        method: "POST",
        headers: { authorization: `Bearer ${tenant.key}` },
        body: JSON.stringify({ input: {}, webhook }),
      });
    expect((await submit("named-by-client.test", "https://named-by-client.test/hook")).status).toBe(400);
    expect((await submit("waybill.test", "https://named-by-client.test/hook")).status).toBe(200);
  });

  it("is refused as a webhook when it is sent, where an older release has taken it", async () => {
    const calls = answerUpstreams(() => new Response("ok"));
    const sealedSecret = await seal(`whsec_${btoa("x".repeat(24))}`, env.ENCRYPTION_KEY, "webhook");
    const delivery = deliveryOf({ url: OWN, sealedSecret });
    expect((await tryDelivery(delivery, env)).result).toMatchObject({
      kind: "failed",
      detail: "the URL must not lead to this deployment itself",
    });
    expect(calls).not.toHaveBeenCalled();
  });

  it.each([
    ["http", {}],
    ["runpod", {}],
    ["runpod", { local: true }],
    ["openai", {}],
  ] satisfies [Upstream["dialect"], Partial<Upstream>][])(
    "is never called as an upstream of the dialect %s %j",
    async (dialect, more) => {
      const calls = answerUpstreams(() => Response.json({}));
      const { runs, status } = await openAiClient({ upstreams: [{ url: OWN, dialect, ...more }] });
      const answer: unknown = await (await runs({ input: { prompt: "x" } })).json();
      const id = (answer as { id: string }).id;
      await vi.waitFor(
        async () =>
          expect(await status(id)).toMatchObject({
            status: "IN_QUEUE",
            queue: {
              reason: "UPSTREAM_UNHEALTHY",
              detail: expect.stringContaining("must not lead to this deployment itself"),
            },
          }),
        POLL,
      );
      expect(calls).not.toHaveBeenCalled();
    },
  );

  it("is never asked for its health, told to stop, or given a load-balanced request", async () => {
    const calls = answerUpstreams(() => new Response("ok"));
    expect(await Prober.prototype.ping.call({ env } as unknown as Prober, upstream({ url: OWN }))).toBe("unhealthy");
    const { reach } = readConfig(env);
    expect(await cancelUpstreamJob({ url: OWN, credential: null, upstreamJobId: "j" }, reach)).toBe(false);
    const request = { baseUrl: OWN, path: "/x", search: "", method: "GET", headers: new Headers(), body: null };
    expect(await openTunnel({ ...request, signal: AbortSignal.timeout(1_000) }, reach)).toMatchObject({
      kind: "url_refused",
    });
    const tenant = await makeTenant({ kind: "load_balancer", upstreams: [{ url: OWN }] });
    const headers = { authorization: `Bearer ${tenant.key}` };
    const signal = AbortSignal.timeout(500);
    await exports.default
      .fetch(new Request(`https://waybill.test/lb/${tenant.endpointId}/x`, { headers, signal }))
      .catch(() => null);
    expect(calls).not.toHaveBeenCalled();
  });
});
