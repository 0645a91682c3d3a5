// An Idempotency-Key whose job came before the endpoint had its present schema: a repeated call still gets that job.
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { RUN_RETENTION_DEFAULT_MS } from "../../../src/core/limits.ts";
import { BrokerClient } from "../../../src/dispatch/broker-client.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant, type TestTenant } from "../../support/tenant.ts";

const SCHEMA = { type: "object", required: ["prompt"] };
const OLD_INPUT = '{ "text":"before the schema" }';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function laterBy(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + ms);
}

async function post({ key, slug }: TestTenant, input: string, idempotencyKey: string | null, route = "run") {
  const named = idempotencyKey === null ? {} : { "idempotency-key": idempotencyKey };
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...named };
  const url = `https://waybill.test/v2/${slug}/${route}`;
  const response = await exports.default.fetch(
    new Request(url, { method: "POST", headers, body: `{"input":${input}}` }),
  );
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of bodies of any shape
  return { status: response.status, body: (await response.json()) as any };
}

/** An endpoint that got its schema after a job, and an edge that has noticed. */
async function changed(route = "run") {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const first = await post(tenant, OLD_INPUT, "one", route);
  expect(first.status).toBe(200);
  await manage(tenant.key, "PATCH", `/v1/endpoints/${tenant.slug}`, { inputSchema: SCHEMA });
  laterBy(31_000);
  expect((await post(tenant, OLD_INPUT, null)).status).toBe(400);
  vi.useRealTimers();
  return { tenant, id: first.body.id };
}

/** The broker's calls of what runs from here on. */
function watchCalls(): string[] {
  const names: string[] = [];
  const call = BrokerClient.prototype.call;
  vi.spyOn(BrokerClient.prototype, "call").mockImplementation(function (this: BrokerClient, ...args) {
    names.push(args[0]);
    return call.apply(this, args);
  });
  return names;
}

describe("a repeated call whose input does not fit any more", () => {
  it.each(["run", "runsync?wait=1000"])("gets the job of its Idempotency-Key by /%s", async (route) => {
    const { tenant, id } = await changed(route);
    const calls = watchCalls();
    const again = await post(tenant, OLD_INPUT, "one", route);
    expect(again).toMatchObject({ status: 200, body: { id, status: "IN_QUEUE" } });
    expect(calls[0]).toBe("findRepeated");
    expect(calls).not.toContain("submit");
  });

  it("gets it also where its result is no longer kept", async () => {
    const { tenant, id } = await changed();
    await exports.default.fetch(
      new Request(`https://waybill.test/v2/${tenant.slug}/cancel/${id}`, {
        method: "POST",
        headers: { authorization: `Bearer ${tenant.key}` },
      }),
    );
    laterBy(RUN_RETENTION_DEFAULT_MS + 1_000);
    expect(await post(tenant, OLD_INPUT, "one")).toMatchObject({ status: 200, body: { id, status: "CANCELLED" } });
  });
});

describe("a call whose input does not fit", () => {
  it("costs one question to the broker with a key that has no job, or another body's", async () => {
    const { tenant } = await changed();
    const put = vi.spyOn(env.PAYLOADS, "put");
    const calls = watchCalls();
    for (const [input, key] of [
      [OLD_INPUT, "two"],
      [`{"text":"${"x".repeat(300_000)}"}`, "one"],
    ] as const) {
      const answer = await post(tenant, input, key);
      expect(answer).toMatchObject({ status: 400, body: { field: "input/prompt" } });
    }
    expect(calls).toEqual(["findRepeated", "findRepeated"]);
    expect(put).not.toHaveBeenCalled();
  });

  it("costs none without a key, and none where the input fits", async () => {
    const { tenant } = await changed();
    const calls = watchCalls();
    expect((await post(tenant, OLD_INPUT, null)).status).toBe(400);
    expect(calls).toEqual([]);
    expect((await post(tenant, '{"prompt":"x"}', "three")).status).toBe(200);
    expect(calls).toEqual(["submit"]);
  });

  it("learns nothing of another tenant's key", async () => {
    const { tenant } = await changed();
    await manage(tenant.key, "PATCH", `/v1/endpoints/${tenant.slug}`, { shared: true });
    const other = await makeTenant({ scopes: ["jobs"] });
    const answer = await post({ ...other, slug: tenant.slug }, OLD_INPUT, "one");
    expect([400, 404]).toContain(answer.status);
    expect(JSON.stringify(answer.body)).not.toContain("IN_QUEUE");
  });

  it("is told to come again where the broker does not answer", async () => {
    const { tenant } = await changed();
    vi.spyOn(BrokerClient.prototype, "call").mockResolvedValue({
      ok: false,
      failure: { kind: "unavailable", message: "the endpoint did not answer" },
    });
    expect((await post(tenant, OLD_INPUT, "one")).status).toBe(503);
  });
});
