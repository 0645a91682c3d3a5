// The edge beside a broker that is replaced, behind, overloaded or broken: a fake one stands behind the same binding.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { BrokerApi, SubmitCall } from "../../../src/contract/broker.ts";
import type { JobView } from "../../../src/contract/job-view.ts";
import { fail, ok } from "../../../src/core/failure.ts";
import { createApp } from "../../../src/http/app.ts";
import type { TestTenant } from "../../support/tenant.ts";
import { makeTenant } from "../../support/tenant.ts";

let tenant: TestTenant;

beforeAll(async () => {
  tenant = await makeTenant({ upstreams: [] });
});

const waiting: Omit<JobView, "id"> = {
  status: "IN_QUEUE",
  delayMs: null,
  executionMs: null,
  workerId: null,
  error: null,
  failure: null,
  retries: 0,
  output: null,
  queue: null,
};

function view(id: string, changes: Partial<JobView> = {}): JobView {
  return { id, ...waiting, ...changes };
}

/** Sends a request to an app whose brokers are the given fake; calls it lacks throw like a bug in the broker. */
async function ask(broker: Partial<BrokerApi>, method: string, route: string, body?: string): Promise<Response> {
  const namespace = { getByName: () => broker } as unknown as Env["ENDPOINT_BROKER"];
  const request = new Request(`https://waybill.test/v2/${tenant.endpointId}/${route}`, {
    method,
    headers: { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body }),
  });
  return createApp().fetch(request, { ...env, ENDPOINT_BROKER: namespace }, createExecutionContext());
}

function reset(): Error {
  return Object.assign(new Error("the object was replaced"), { durableObjectReset: true });
}

async function keysOf(endpointId: string): Promise<string[]> {
  return (await env.PAYLOADS.list({ prefix: `${endpointId}/` })).objects.map((object) => object.key);
}

const jobId = "0193a0f2-7b1c-7def-8a11-0123456789ab-u1";
const largeJob = `{"input":"${"x".repeat(600_000)}"}`;

describe("a submit", () => {
  it("sends its settings to a broker that is behind, and submits again", async () => {
    const calls: string[] = [];
    const response = await ask(
      {
        submit: async (call) => {
          calls.push(`submit ${call.settingsVersion}`);
          return calls.length < 3
            ? fail({ kind: "settings_behind" })
            : ok({ created: true, claim: null, job: view(call.jobId) });
        },
        configure: async (settings) => {
          calls.push(`configure ${settings.version}`);
          return { version: settings.version };
        },
      },
      "POST",
      "run",
      '{"input":{}}',
    );
    expect(response.status).toBe(200);
    expect(calls).toEqual(["submit 1", "configure 1", "submit 1"]);
  });

  it("is repeated with the same job id when the broker is replaced, and keeps its large input", async () => {
    const calls: SubmitCall[] = [];
    const broker: Partial<BrokerApi> = {
      submit: async (call) => {
        calls.push(call);
        if (calls.length === 1) throw reset();
        return ok({ created: false, claim: null, job: view(call.jobId) });
      },
    };
    const response = await ask(broker, "POST", "run", largeJob);
    expect(response.status).toBe(200);
    expect(new Set(calls.map((call) => call.jobId)).size).toBe(1);
    const input = calls[0]?.input;
    expect(input).toMatchObject({ kind: "r2", sizeBytes: 600_002 });
    expect(await keysOf(tenant.endpointId)).toContain(input?.kind === "r2" ? input.key : "");
  });

  it("deletes its large input when the broker refuses it", async () => {
    const before = await keysOf(tenant.endpointId);
    const submit: BrokerApi["submit"] = async () => fail({ kind: "tenant_limit", waitingMax: 3, retryAfterSeconds: 7 });
    const response = await ask({ submit }, "POST", "run", largeJob);
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(await keysOf(tenant.endpointId)).toEqual(before);
  });

  it("keeps its large input when nobody knows whether the broker took it", async () => {
    const before = await keysOf(tenant.endpointId);
    const submit: BrokerApi["submit"] = async () => {
      throw reset();
    };
    const response = await ask({ submit }, "POST", "run", largeJob);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await keysOf(tenant.endpointId)).toHaveLength(before.length + 1);
  });

  it("leaves nothing in storage when a field after a large input is wrong", async () => {
    const before = await keysOf(tenant.endpointId);
    const response = await ask({}, "POST", "run", `${largeJob.slice(0, -1)},"policy":7}`);
    expect(response.status).toBe(400);
    expect(await keysOf(tenant.endpointId)).toEqual(before);
  });

  it("tells the fate of a job that is gone: 200 on run, 410 on runsync", async () => {
    const submit: BrokerApi["submit"] = async () => fail({ kind: "idempotency_gone", jobId, status: "COMPLETED" });
    const run = await ask({ submit }, "POST", "run", '{"input":{}}');
    expect([run.status, await run.json()]).toEqual([200, { id: jobId, status: "COMPLETED" }]);
    const runsync = await ask({ submit }, "POST", "runsync", '{"input":{}}');
    expect(runsync.status).toBe(410);
    expect(await runsync.json()).toMatchObject({ id: jobId, error: expect.any(String) });
  });
});

describe("a held request", () => {
  it("asks again when the broker is replaced while it waits", async () => {
    let waits = 0;
    const broker: Partial<BrokerApi> = {
      submit: async (call) => ok({ created: true, claim: null, job: view(call.jobId) }),
      wait: async (call) => {
        waits += 1;
        if (waits === 1) throw reset();
        const output = { kind: "inline" as const, bytes: new TextEncoder().encode('{"n":1.10}') };
        return ok(view(call.jobId, { status: "COMPLETED", delayMs: 3, executionMs: 4, workerId: "w", output }));
      },
    };
    const response = await ask(broker, "POST", "runsync?wait=5000", '{"input":{}}');
    expect(response.status).toBe(200);
    expect(await response.text()).toMatch(
      /^\{"delayTime":3,"executionTime":4,"id":"sync-[0-9a-f-]+-u1","output":\{"n":1\.10\},"status":"COMPLETED","workerId":"w"\}$/,
    );
  });

  it("answers with the state it knows when the broker stays away until the wait is over", async () => {
    const broker: Partial<BrokerApi> = {
      submit: async (call) => ok({ created: true, claim: null, job: view(call.jobId) }),
      wait: async () => {
        throw reset();
      },
    };
    const response = await ask(broker, "POST", "runsync?wait=1000", '{"input":{}}');
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ status: "IN_QUEUE" });
  });
});

describe("a status", () => {
  it("has RunPod's keys in RunPod's order, with the output as it came", async () => {
    const output = { kind: "inline" as const, bytes: new TextEncoder().encode("[1e3]") };
    const job = view(jobId, {
      status: "FAILED",
      delayMs: 101_050,
      executionMs: 42_078,
      error: 'said "no"',
      retries: 1,
      workerId: "wk1",
      output,
    });
    const response = await ask({ read: async () => ok(job) }, "GET", `status/${jobId}`);
    expect(await response.text()).toBe(
      `{"delayTime":101050,"error":"said \\"no\\"","executionTime":42078,"id":"${jobId}","output":[1e3],"retries":1,"status":"FAILED","workerId":"wk1"}`,
    );
  });

  it("streams a large output from storage", async () => {
    const key = `${tenant.endpointId}/large/output`;
    const text = `"${"y".repeat(400_000)}"`;
    await env.PAYLOADS.put(key, text);
    const job = view(jobId, { status: "COMPLETED", output: { kind: "r2", key, sizeBytes: text.length } });
    const response = await ask({ read: async () => ok(job) }, "GET", `status/${jobId}`);
    expect(await response.text()).toBe(`{"id":"${jobId}","output":${text},"status":"COMPLETED"}`);
    await env.PAYLOADS.delete(key);
  });

  it("is 503 and names storage when a large output is missing there", async () => {
    const job = view(jobId, { status: "COMPLETED", output: { kind: "r2", key: "no/such/output", sizeBytes: 9 } });
    const response = await ask({ read: async () => ok(job) }, "GET", `status/${jobId}`);
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ message: expect.stringContaining("storage") });
  });

  it("leaves large outputs out of a list", async () => {
    const small = { kind: "inline" as const, bytes: new TextEncoder().encode("1") };
    const large = { kind: "inline" as const, bytes: new Uint8Array(20_000).fill(0x31) };
    const jobs = [small, large, null].map((output) => view(jobId, { status: "COMPLETED", output }));
    const response = await ask({ requests: async () => ({ jobs }) }, "GET", "requests");
    const plain = { id: jobId, status: "COMPLETED" };
    expect(await response.json()).toEqual({ requests: [{ ...plain, output: 1 }, plain, plain] });
  });
});

describe("a broker in trouble", () => {
  it("that is overloaded is 503 at once", async () => {
    let calls = 0;
    const health: BrokerApi["health"] = async () => {
      calls += 1;
      throw Object.assign(new Error("too many"), { overloaded: true, retryable: true });
    };
    const response = await ask({ health }, "GET", "health");
    expect([response.status, calls]).toEqual([503, 1]);
  });

  it("that has a bug is 500 without a word about it", async () => {
    const read: BrokerApi["read"] = async () => {
      throw new Error("SECRET in src/broker/x.ts:7");
    };
    const response = await ask({ read }, "GET", `status/${jobId}`);
    expect(response.status).toBe(500);
    const body = await response.text();
    expect(body).toContain('"error":"internal error"');
    expect(body).not.toContain("SECRET");
  });
});
