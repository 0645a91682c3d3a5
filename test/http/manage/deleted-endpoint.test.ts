// A deleted endpoint as its callers see it: as one that never was, on every route, while its bill stays.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { runAll } from "../../../src/db/statement.ts";
import { holdCarriers } from "../../support/broker.ts";
import { deleteByOperator, POLL, ring } from "../../support/closing.ts";
import { breakD1 } from "../../support/d1.ts";
import { insertEndpoint } from "../../support/endpoint-row.ts";
import { makePulling } from "../../support/pulling.ts";
import { drawNumber, makeTenant, type TestTenant } from "../../support/tenant.ts";

/** Longer than an isolate takes an answer of D1 for fresh. */
const STALE_MS = 31_000;
const idSchema = z.object({ id: z.string() });

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function ask(tenant: TestTenant, path: string, body?: object): Promise<Response> {
  const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
  const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  return exports.default.fetch(new Request(`https://waybill.test${path}`, init));
}

async function answerOf(response: Promise<Response>) {
  const { status } = await response;
  return { status, body: await (await response).json() };
}

/** A tenant whose endpoint has run a job that is billed when the endpoint is deleted. */
async function makeUsed() {
  const given = holdCarriers(() => true);
  const tenant = await makeTenant({ upstreams: [{}] });
  const made = await ask(tenant, `/v2/${tenant.slug}/run`, { input: {} });
  const { id } = idSchema.parse(await made.json());
  await vi.waitFor(() => expect(given.some(({ jobId }) => jobId === id)).toBe(true), POLL);
  return { tenant, id };
}

describe("a deleted endpoint", () => {
  it("is answered as one that never was, by each of its names, at once and later", async () => {
    const { tenant } = await makeUsed();
    const unknown = await answerOf(ask(tenant, "/v2/never-was/run", { input: {} }));
    expect(unknown.status).toBe(404);
    expect(await deleteByOperator(tenant.endpointId)).toMatchObject({ ok: true, value: { applied: true } });
    for (const waitMs of [0, STALE_MS]) {
      vi.setSystemTime(Date.now() + waitMs);
      for (const name of [tenant.endpointId, tenant.slug, encodeURIComponent(`deleted ${tenant.endpointId}`)]) {
        expect(await answerOf(ask(tenant, `/v2/${name}/run`, { input: {} }))).toEqual(unknown);
        expect(await answerOf(ask(tenant, `/v2/${name}/runsync`, { input: {} }))).toEqual(unknown);
        const chat = { model: "m", messages: [{ role: "user", content: "hi" }] };
        expect((await ask(tenant, `/v2/${name}/openai/v1/chat/completions`, chat)).status).toBe(404);
      }
    }
    expect((await ask(tenant, `/v2/${tenant.slug}/health`)).status).toBe(404);
    expect((await ask(tenant, `/lb/${tenant.slug}/any`)).status).toBe(404);
  });

  it("hides its jobs, and is in no list, while its usage can still be read by its id", async () => {
    const { tenant, id } = await makeUsed();
    expect(await deleteByOperator(tenant.endpointId)).toMatchObject({ ok: true });
    vi.setSystemTime(Date.now() + STALE_MS);
    expect((await ask(tenant, `/v2/${tenant.endpointId}/status/${id}`)).status).toBe(404);
    expect((await ask(tenant, `/v1/jobs/${id}`)).status).toBe(404);
    expect(await (await ask(tenant, "/v1/depth")).json()).toEqual({
      endpoints: [],
      pagination: { hasNextPage: false, nextCursor: null },
    });
    await vi.waitFor(async () => {
      vi.setSystemTime(Date.now() + 1_000);
      await ring(tenant.endpointId);
      await runDurableObjectAlarm(env.TENANT_ACCOUNT.getByName(tenant.tenantId));
      for (const filter of [`endpoint=${tenant.endpointId}`, `job=${id}`]) {
        const usage = await (await ask(tenant, `/v1/usage?${filter}`)).json();
        expect(usage).toMatchObject({ lines: [{ jobId: id, endpointId: tenant.endpointId }] });
      }
    }, POLL);
  });

  it("takes no job while D1 is down and the edge still has its settings", async () => {
    const { tenant } = await makeUsed();
    expect(await deleteByOperator(tenant.endpointId)).toMatchObject({ ok: true });
    const d1 = breakD1();
    vi.setSystemTime(Date.now() + STALE_MS);
    const refused = await ask(tenant, `/v2/${tenant.slug}/run`, { input: {} });
    d1.heal();
    expect(refused.status).toBe(404);
  });

  it("leaves its slug to a new one, which is reached by it", async () => {
    const { tenant } = await makeUsed();
    expect(await deleteByOperator(tenant.endpointId)).toMatchObject({ ok: true });
    const { tenantId, slug } = tenant;
    const next = { id: `ep-${crypto.randomUUID()}`, number: drawNumber(), tenantId, slug, createdAtMs: Date.now() };
    await runAll(env.DB, [insertEndpoint(next)]);
    vi.setSystemTime(Date.now() + STALE_MS);
    const made = await ask(tenant, `/v2/${slug}/run`, { input: {} });
    expect(made.status).toBe(200);
    const { id } = idSchema.parse(await made.json());
    expect(await (await ask(tenant, `/v1/jobs/${id}`)).json()).toMatchObject({ endpointId: next.id });
  });

  it("leaves its slug to the workers of a new one, too", async () => {
    const pulling = await makePulling();
    const { endpointId, slug } = pulling.tenant;
    expect((await pulling.asWorker("ping/WORKER?gpu=SIM", { endpoint: slug })).status).toBe(200);
    expect(await deleteByOperator(endpointId)).toMatchObject({ ok: true });
    const next = await makePulling();
    await env.DB.prepare("UPDATE endpoints SET slug = ? WHERE id = ?").bind(slug, next.tenant.endpointId).run();
    vi.setSystemTime(Date.now() + STALE_MS);
    const ping = () => next.asWorker("ping/WORKER?gpu=SIM", { endpoint: slug });
    expect((await ping()).status).toBe(200);
    // The isolate has the slug's endpoint from then on, also where D1 cannot be asked.
    const d1 = breakD1();
    vi.setSystemTime(Date.now() + STALE_MS);
    expect((await ping()).status).toBe(200);
    d1.heal();
  });

  it("refuses its workers as with a revoked key, and takes no result", { timeout: 20_000 }, async () => {
    const pulling = await makePulling();
    const { endpointId } = pulling.tenant;
    await pulling.submit("{}");
    const id = await pulling.takeOne();
    expect(await deleteByOperator(endpointId)).toMatchObject({ ok: true });
    expect(await (await pulling.done(id, '{"output":1}')).json()).toEqual({ accepted: false });
    vi.setSystemTime(Date.now() + STALE_MS);
    expect((await pulling.done(id, '{"output":1}')).status).toBe(401);
    expect((await pulling.take()).status).toBe(401);
  });
});
