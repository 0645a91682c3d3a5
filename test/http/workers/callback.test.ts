// A RunPod upstream that calls back: its call wakes the carrier, which looks at the upstream itself.
import { listDurableObjectIds } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { EndpointBroker } from "../../../src/broker/endpoint-broker.ts";
import type { Config } from "../../../src/config.ts";
import * as config from "../../../src/config.ts";
import { signCallback } from "../../../src/dispatch/callback-mac.ts";
import { watchD1 } from "../../support/d1.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

afterEach(() => vi.restoreAllMocks());

const readConfig = config.readConfig;

function withPublicUrl(publicUrl: string | null): Config {
  return { ...readConfig(env), publicUrl };
}

function call(tenant: TestTenant, path: string, body: string | null = null) {
  const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
  const method = body === null ? "GET" : "POST";
  return exports.default.fetch(
    new Request(`https://waybill.test/v2/${tenant.endpointId}/${path}`, { method, headers, body }),
  );
}

/** A hosted upstream whose job ends when the test says so. */
function hostedUpstream() {
  const seen = { webhook: null as string | null, polls: 0, isDone: false };
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(input, init);
    if (request.url.endsWith("/run")) {
      const posted = z.object({ webhook: z.string().optional() }).parse(await request.json());
      seen.webhook = posted.webhook ?? null;
      return Response.json({ id: "upstream-1", status: "IN_QUEUE" });
    }
    seen.polls += 1;
    if (!seen.isDone) return Response.json({ id: "upstream-1", status: "IN_PROGRESS" });
    return Response.json({ id: "upstream-1", status: "COMPLETED", output: "from the upstream" });
  });
  return seen;
}

const upstreams = [{ dialect: "runpod", url: "https://api.runpod.example/v2/abc" }] as const;

describe("a callback of a runpod upstream", () => {
  it("carries the lease and brings the upstream's own word at once", { timeout: 20_000 }, async () => {
    const tenant = await makeTenant({ upstreams });
    vi.spyOn(config, "readConfig").mockReturnValue(withPublicUrl("https://waybill.test"));
    const upstream = hostedUpstream();
    const { id } = z.object({ id: z.string() }).parse(await (await call(tenant, "run", '{"input":{}}')).json());
    await vi.waitFor(() =>
      expect(upstream.webhook).toMatch(`https://waybill.test/v2/${tenant.endpointId}/callback/${id}/`),
    );
    // By then the pause between two looks is at its longest.
    await vi.waitFor(() => expect(upstream.polls).toBeGreaterThan(5), { timeout: 10_000 });
    upstream.isDone = true;
    const calledMs = Date.now();
    const forged = '{"id":"upstream-1","status":"COMPLETED","output":"forged"}';
    const called = await exports.default.fetch(new Request(upstream.webhook ?? "", { method: "POST", body: forged }));
    expect(called.status).toBe(200);
    const status = await (await call(tenant, `status-sync/${id}?wait=10000`)).json();
    expect(status).toMatchObject({ status: "COMPLETED", output: "from the upstream" });
    expect(Date.now() - calledMs).toBeLessThan(400);
  });

  it("under a lease that is not held wakes nobody, and tells the caller nothing", async () => {
    const tenant = await makeTenant({ upstreams });
    await call(tenant, "health");
    const { endpointId } = tenant;
    const [jobId, lease] = ["01900000-0000-7000-8000-000000000000-u1", crypto.randomUUID()];
    const mac = await signCallback(env.PEPPER, { endpointId, jobId, lease });
    expect((await call(tenant, `callback/${jobId}/${lease}/${mac}`, "{}")).status).toBe(200);
  });

  it("that we have not asked for is refused before anything is asked, whatever it names", async () => {
    const tenant = await makeTenant({ upstreams });
    await call(tenant, "health");
    const { endpointId } = tenant;
    const [jobId, lease] = ["01900000-0000-7000-8000-000000000000-u1", crypto.randomUUID()];
    const mac = await signCallback(env.PEPPER, { endpointId, jobId, lease });
    const other = mac.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    const nudged = vi.spyOn(EndpointBroker.prototype, "nudge");
    const statements = watchD1();
    const before = await listDurableObjectIds(env.ENDPOINT_BROKER);
    for (const [name, path] of [
      [endpointId, `callback/${jobId}/${lease}/${other}`],
      [endpointId, `callback/${jobId}/${lease}/${mac.slice(1)}`],
      [endpointId, `callback/${jobId}/${crypto.randomUUID()}/${mac}`],
      [endpointId, `callback/01900000-0000-7000-8000-000000000001-u1/${lease}/${mac}`],
      [endpointId, `callback/${jobId}/${lease}`],
      [endpointId, `callback/no-job/no-lease/${mac}`],
      [tenant.slug, `callback/${jobId}/${lease}/${mac}`],
      ["made-up", `callback/${jobId}/${lease}/${mac}`],
    ] as const) {
      expect((await call({ ...tenant, endpointId: name }, path, "{}")).status, path).toBe(404);
    }
    expect(nudged).not.toHaveBeenCalled();
    expect(statements).toEqual([]);
    expect(await listDurableObjectIds(env.ENDPOINT_BROKER)).toHaveLength(before.length);
  });

  it("is not asked for where nobody has said how upstreams reach this deployment", async () => {
    const tenant = await makeTenant({ upstreams });
    const upstream = hostedUpstream();
    upstream.isDone = true;
    const run = await (
      await call(tenant, "runsync?wait=5000", '{"input":{},"webhook":"https://client.example/hook"}')
    ).json();
    expect(run).toMatchObject({ status: "COMPLETED" });
    expect(upstream.webhook).toBeNull();
  });
});
