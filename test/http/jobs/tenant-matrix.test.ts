// Tenants see nothing of each other: on every route a foreign key gets what it would get for an id that never was.
import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod";
import type { TestTenant } from "../../support/tenant.ts";
import { makeTenant } from "../../support/tenant.ts";

const accepted = z.object({ id: z.string(), status: z.string() });
const neverWas = "0193a0f2-7b1c-7def-8a11-0123456789ab-u1";

let owner: TestTenant;
let stranger: TestTenant;
let jobId: string;

beforeAll(async () => {
  owner = await makeTenant({ upstreams: [] });
  stranger = await makeTenant({ upstreams: [] });
  const response = await send(owner, "POST", `/v2/${owner.endpointId}/run`, '{"input":{"secret":1}}');
  expect(response.status).toBe(200);
  jobId = accepted.parse(await response.json()).id;
});

function send(tenant: TestTenant, method: string, path: string, body?: string): Promise<Response> {
  const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json" };
  const request = new Request(`https://waybill.test${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body }),
  });
  return exports.default.fetch(request);
}

/** Everything of an answer but the request id. */
async function shape(response: Response): Promise<unknown> {
  // The request's id, and the count of the caller's own calls, differ from call to call.
  const headers = [...response.headers].filter(([name]) => name !== "x-request-id" && name !== "ratelimit");
  return { status: response.status, headers, body: await response.text() };
}

const endpointRoutes = [
  ["POST", "run", '{"input":{}}'],
  ["POST", "runsync?wait=1000", '{"input":{}}'],
  ["POST", "purge-queue", undefined],
  ["GET", "health", undefined],
  ["GET", "requests", undefined],
] as const;

const jobRoutes = [
  ["GET", "status", ""],
  ["POST", "status", ""],
  ["GET", "status", "?ttl=10000"],
  ["GET", "status-sync", "?wait=1000"],
  ["POST", "status-sync", "?wait=1000"],
  ["POST", "cancel", ""],
  ["POST", "retry", ""],
] as const;

describe("a stranger", () => {
  it.each(endpointRoutes)(
    "is answered alike for a foreign and an unknown endpoint: %s %s",
    async (method, route, body) => {
      const foreign = await shape(await send(stranger, method, `/v2/${owner.endpointId}/${route}`, body));
      const unknown = await shape(await send(stranger, method, `/v2/nowhere/${route}`, body));
      expect(foreign).toMatchObject({ status: 404 });
      expect(foreign).toEqual(unknown);
    },
  );

  it.each(jobRoutes)("is answered alike for a foreign and an unknown job: %s %s%s", async (method, route, query) => {
    for (const endpointId of [owner.endpointId, stranger.endpointId]) {
      const foreign = await shape(await send(stranger, method, `/v2/${endpointId}/${route}/${jobId}${query}`));
      const unknown = await shape(await send(stranger, method, `/v2/${endpointId}/${route}/${neverWas}${query}`));
      expect(foreign).toMatchObject({ status: 404 });
      expect(foreign).toEqual(unknown);
    }
  });

  it("is answered alike for a foreign and an unknown job by its id alone", async () => {
    const foreign = await shape(await send(stranger, "GET", `/v1/jobs/${jobId}`));
    const unknown = await shape(await send(stranger, "GET", `/v1/jobs/${neverWas}`));
    expect(foreign).toMatchObject({ status: 404 });
    expect(foreign).toEqual(unknown);
  });

  it("sees only endpoints of its own in depth", async () => {
    const response = await send(stranger, "GET", "/v1/depth");
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      endpoints: [{ endpointId: stranger.endpointId, waiting: 0, running: 0 }],
    });
  });

  it("sees no foreign usage", async () => {
    for (const query of ["", `?endpoint=${owner.endpointId}`, `?job=${jobId}`]) {
      const response = await send(stranger, "GET", `/v1/usage${query}`);
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ lines: [] });
    }
  });

  it("has changed nothing: the job still waits for its owner", async () => {
    const response = await send(owner, "GET", `/v2/${owner.endpointId}/status/${jobId}`);
    expect(await response.json()).toMatchObject({ id: jobId, status: "IN_QUEUE" });
    const depth = await send(owner, "GET", "/v1/depth");
    expect(await depth.json()).toMatchObject({ endpoints: [{ endpointId: owner.endpointId, waiting: 1, running: 0 }] });
  });
});

describe("a 404", () => {
  it.each([
    ["GET", "/v2/nowhere/health", "no such endpoint for this key"],
    ["GET", `/v2/nowhere/status/${neverWas}`, "no such endpoint for this key"],
    ["GET", "/v2/nowhere/openai/v1/models", "no such endpoint for this key"],
    ["GET", "/lb/nowhere/path", "no such endpoint for this key"],
    ["GET", `/v2/{ep}/status/${neverWas}`, "no job of yours has this id here"],
    ["GET", "/v2/{ep}/status/no-id", "no job of yours has this id here"],
    ["GET", `/v2/{ep}/stream/${neverWas}?wait=1000`, "no job of yours has this id here"],
    ["POST", `/v2/{ep}/retry/${neverWas}`, "no job of yours has this id here"],
    ["GET", `/v1/jobs/${neverWas}`, "no job of yours has this id here"],
    ["GET", "/v1/jobs/no-id", "no job of yours has this id here"],
    ["POST", "/v2/{ep}/walk", "no such route"],
    ["POST", "/v2/{ep}/run/twice", "no such route"],
    ["GET", "/v2/{ep}/status", "no such route"],
    ["GET", "/nothing", "no such route"],
  ] as const)("names what is unknown: %s %s", async (method, path, words) => {
    const response = await send(owner, method, path.replace("{ep}", owner.endpointId));
    const text = await response.text();
    expect(response.status, text).toBe(404);
    expect(text).toContain(words);
  });
});
