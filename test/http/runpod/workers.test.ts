// /v2/serverless/{id}/workers and the stream of a worker's log.
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

/** A worker that pulls and one upstream. */
async function scene() {
  const id = `up-${crypto.randomUUID()}`;
  const tenant = await makeTenant({ scopes: ["jobs"], upstreams: [{ id }], workerKeys: [{ slots: 2 }] });
  const [worker = ""] = tenant.workerKeys;
  const ping = await exports.default.fetch(
    new Request(`https://waybill.test/v2/${tenant.endpointId}/ping/w1?gpu=NVIDIA+L4&runpod_version=1.12.0`, {
      headers: { authorization: worker },
    }),
  );
  expect(ping.status).toBe(200);
  return { ...tenant, upstreamId: id };
}

function follow(key: string, path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") {
  return exports.default.fetch(
    new Request(`https://waybill.test${path}`, { method, headers: { authorization: `Bearer ${key}`, ...headers } }),
  );
}

describe("the workers of an endpoint", () => {
  it("are listed by its id and its slug, with the summary that RunPod's clients read", async () => {
    const { key, endpointId, slug, upstreamId } = await scene();
    const { status, body } = await manage(key, "GET", `/v2/serverless/${endpointId}/workers`);
    expect(status).toBe(200);
    expect(body.workers).toMatchObject([
      { id: "w1", status: "INITIALIZING", gpuTypeId: "NVIDIA L4", gpuCount: 1, isStale: false },
      { id: upstreamId, status: "IDLE", gpuTypeId: null },
    ]);
    expect(body.summary).toEqual({ running: 0, idle: 1, initializing: 1, throttled: 0, unhealthy: 0, total: 2 });
    expect((await manage(key, "GET", `/v2/serverless/${slug}/workers`)).body).toEqual(body);
  });

  it("are listed of an endpoint that nobody has called yet", async () => {
    const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
    const wanted = {
      name: "new",
      image: "i",
      type: "QUEUE",
      gpu: { pools: ["ADA_24"], count: 2 },
      scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
    };
    const { id } = (await manage(key, "POST", "/v2/serverless", wanted)).body;
    const { status, body } = await manage(key, "GET", `/v2/serverless/${id}/workers`);
    expect(status).toBe(200);
    expect(body).toMatchObject({ workers: [], summary: { total: 0 }, endpointVersion: 1 });
  });

  it("are another tenant's as if there was no such endpoint", async () => {
    const { endpointId } = await scene();
    const { key } = await makeTenant();
    const foreign = await manage(key, "GET", `/v2/serverless/${endpointId}/workers`);
    expect(foreign.status).toBe(404);
    expect(foreign.body).toEqual((await manage(key, "GET", "/v2/serverless/nothing/workers")).body);
  });
});

describe("the log of a worker", () => {
  it("is a stream of events that stays open", async () => {
    const { key, endpointId } = await scene();
    const path = `/v2/serverless/${endpointId}/workers/w1/logs`;
    const query = "tail=1000&source=container&since=2026-11-29T01%3A02%3A03.000004%2B00%3A00";
    const response = await follow(key, `${path}?${query}`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    expect(response.headers.get("ratelimit")).not.toBeNull();
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(new TextDecoder().decode(first?.value)).toBe(": no log lines\n\n");
    const next = reader?.read().then(() => "came");
    expect(await Promise.race([next, scheduler.wait(300).then(() => "open")])).toBe("open");
    await reader?.cancel();
  });

  it("is not opened by a HEAD, nor by a question that cannot be", async () => {
    const { key, endpointId, upstreamId } = await scene();
    const path = `/v2/serverless/${endpointId}/workers/${upstreamId}/logs`;
    expect((await follow(key, path, {}, "HEAD")).status).toBe(405);
    for (const query of ["tail=5001", "tail=-1", "source=host", "since=yesterday", "bogus=1"]) {
      expect((await manage(key, "GET", `${path}?${query}`)).status, query).toBe(422);
    }
    const wrongId = await manage(key, "GET", path, undefined, { "last-event-id": "first" });
    expect(wrongId).toMatchObject({ status: 400, body: { detail: expect.stringContaining("Last-Event-ID") } });
    const resumed = await follow(key, path, { "last-event-id": "2026-06-01T12:05:04Z/000000000042" });
    expect(resumed.status).toBe(200);
    await resumed.body?.cancel();
  });

  it("is of a worker of this endpoint alone", async () => {
    const { key, endpointId } = await scene();
    const unknown = await manage(key, "GET", `/v2/serverless/${endpointId}/workers/w2/logs`);
    expect(unknown).toMatchObject({ status: 404, body: { detail: expect.stringContaining("worker") } });
  });
});
