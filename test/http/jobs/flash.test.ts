// /v2/flash as runpod.Queue of RunPod's newer Python client calls it: the endpoint is named in a header.
import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

async function call(key: string | null, method: string, path: string, endpoint: string | null, body?: object) {
  const headers = {
    ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    ...(endpoint === null ? {} : { "x-flash-endpoint": endpoint }),
    "x-flash-app": "app",
    "x-flash-environment": "default",
    "content-type": "application/json",
  };
  const request = new Request(`https://waybill.test/v2/flash/${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const response = await exports.default.fetch(request);
  // biome-ignore lint/suspicious/noExplicitAny: tests look at parts of bodies of any shape
  return { status: response.status, body: (await response.json()) as any, headers: response.headers };
}

/** An endpoint with a name for people, whose jobs wait. */
async function named(name = `Name of ${crypto.randomUUID()}`) {
  const tenant = await makeTenant({ scopes: ["jobs", "manage"] });
  const made = await manage(tenant.key, "POST", "/v1/endpoints", { name });
  return { ...tenant, id: String(made.body.id), name };
}

describe("job routes under /v2/flash", () => {
  it("are those of the endpoint that the header names by its id, slug or name", { timeout: 15_000 }, async () => {
    const { key, endpointId, slug, id, name } = await named();
    for (const [endpoint, jobsAt] of [
      [endpointId, endpointId],
      [slug, endpointId],
      [name, id],
    ] as const) {
      const submitted = await call(key, "POST", "run", endpoint, { input: { __empty: true } });
      expect(submitted).toMatchObject({ status: 200, body: { status: "IN_QUEUE" } });
      const jobId: string = submitted.body.id;
      expect((await call(key, "GET", `status/${jobId}`, endpoint)).body).toMatchObject({ id: jobId });
      const headers = { authorization: `Bearer ${key}` };
      const there = await exports.default.fetch(
        new Request(`https://waybill.test/v2/${jobsAt}/status/${jobId}`, { headers }),
      );
      expect(there.status).toBe(200);
      expect((await call(key, "POST", `cancel/${jobId}`, endpoint)).body).toMatchObject({ status: "CANCELLED" });
      expect((await call(key, "GET", `stream/${jobId}`, endpoint)).body).toMatchObject({ stream: [] });
      expect((await call(key, "POST", `retry/${jobId}`, endpoint)).status).toBe(400);
      expect((await call(key, "GET", "health", endpoint)).body).toHaveProperty("workers");
    }
    const waited = await call(key, "POST", "runsync?wait=1000", name, { input: {} });
    expect(waited.body).toMatchObject({ status: "IN_QUEUE" });
    expect((await call(key, "POST", "purge-queue", name)).body).toMatchObject({ removed: 1 });
  });

  it("answer a problem that says what to do where no endpoint is named", async () => {
    const { key, name } = await named();
    const twin = await makeTenant({ scopes: ["jobs", "manage"] });
    await manage(twin.key, "POST", "/v1/endpoints", { name: "twins" });
    await manage(twin.key, "POST", "/v1/endpoints", { name: "twins" });
    const cases = [
      [key, null],
      [key, "nothing"],
      [key, "x".repeat(300)],
      [twin.key, name],
      [twin.key, "twins"],
    ] as const;
    for (const [asker, endpoint] of cases) {
      const { status, body, headers } = await call(asker, "POST", "run", endpoint, { input: {} });
      expect(status).toBe(404);
      expect(headers.get("content-type")).toBe("application/problem+json");
      expect(body.detail).toContain("X-Flash-Endpoint");
      expect(body.detail).toContain("POST /v2/serverless");
    }
  });

  it("answer everything else as job routes do, and other paths as the management plane does", async () => {
    const { key, slug } = await named();
    expect((await call(null, "POST", "run", slug, { input: {} })).status).toBe(401);
    const wrong = await call(key, "POST", "run", slug, {});
    expect(wrong).toMatchObject({ status: 400, body: { error: expect.stringContaining("input") } });
    const unknown = await call(key, "GET", "status/0193a0f2-7b1c-7def-8a11-000000000000-u1", slug);
    expect(unknown).toMatchObject({ status: 404, body: { error: "not found" } });
    expect((await call(key, "GET", "run", slug)).status).toBe(405);
    const nowhere = await call(key, "GET", "apps", slug);
    expect(nowhere.headers.get("content-type")).toBe("application/problem+json");
  });
});
