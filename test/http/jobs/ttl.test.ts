// A job whose ttl has passed is gone for every route, queued or running: the same 404 as for an id that never was.
import { runDurableObjectAlarm } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { holdCarriers } from "../../support/broker.ts";
import { makeTenant } from "../../support/tenant.ts";

const NEVER_WAS = "0193a0f2-7b1c-7def-8a11-0123456789ab-u1";

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

describe("a job whose ttl has passed", () => {
  it.each([
    ["in the queue", []],
    ["while it ran", [{}]],
  ])("%s is the usual 404 on every route", async (_, upstreams) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const given = holdCarriers(() => true);
    const tenant = await makeTenant({ upstreams });
    const ask = async (method: string, route: string, body?: string) => {
      const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
      const init = body === undefined ? { method, headers } : { method, headers, body };
      return exports.default.fetch(new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, init));
    };
    const submitted = await ask("POST", "run", '{"input":{},"policy":{"ttl":10000}}');
    const { id } = z.object({ id: z.string() }).parse(await submitted.json());
    await vi.waitFor(() => expect(given).toHaveLength(upstreams.length));
    vi.setSystemTime(Date.now() + 11_000);
    await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(tenant.endpointId));
    for (const [method, route] of [
      ["GET", "status"],
      ["POST", "status"],
      ["GET", "status-sync"],
      ["POST", "cancel"],
      ["POST", "retry"],
    ] as const) {
      const gone = await ask(method, `${route}/${id}`);
      const unknown = await ask(method, `${route}/${NEVER_WAS}`);
      expect(gone.status, route).toBe(404);
      expect(await gone.text()).toBe(await unknown.text());
    }
  });
});
