// Advice by /v1: which GPU type a model needs, and how many active workers a load needs.
import { env } from "cloudflare:workers";
import { v7 } from "uuid";
import { describe, expect, it } from "vitest";
import { writeUsage } from "../../../src/db/usage.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";
import { usageLine } from "../../support/usage-line.ts";

describe("GET /v1/gpu-types/recommend", () => {
  const ask = async (query: string) => {
    const { key } = await makeTenant();
    return manage(key, "GET", `/v1/gpu-types/recommend?${query}`);
  };

  it.each([
    ["parameters=7e9", 14, "a4000", "0.576000000", "0.396000000"],
    ["parameters=7B", 14, "a4000", "0.576000000", "0.396000000"],
    ["parameters=70e9&bits=4", 35, "a6000", "1.224000000", "0.864000000"],
  ])("answers ?%s with the guide's numbers and the price of an hour", async (query, gb, gpuType, flex, active) => {
    const { status, body } = await ask(query);
    expect(status).toBe(200);
    expect(body).toMatchObject({ weightsGb: gb, totalGb: gb, recommended: { gpuType, gpus: 1 } });
    expect(body.recommended.flex.dollarsPerHour).toBe(flex);
    expect(body.recommended.active.dollarsPerHour).toBe(active);
    expect(body.reasoning).toHaveLength(3);
    expect(body.others.length).toBeGreaterThan(3);
  });

  it("adds the cache of a context, and takes several GPUs where one is too small", async () => {
    const { recommended, cacheGb } = (await ask("parameters=70e9&context=100000&batch=4")).body;
    expect(cacheGb).toBeCloseTo(131, 0);
    expect(recommended).toMatchObject({ gpuType: "b200", gpus: 2, flex: { dollarsPerHour: "17.280000000" } });
  });

  it("has none for a model that is too large", async () => {
    expect((await ask("parameters=99T")).body).toMatchObject({ recommended: null, others: [] });
  });

  it.each([
    "",
    "parameters=-1",
    "parameters=many",
    "parameters=7e9&bits=0",
    "parameters=7&batch=1",
    "parameters=7B&gpu=x",
  ])("names what is wrong in ?%s", async (query) => {
    const { status, body } = await ask(query);
    expect(status).toBe(400);
    expect(body.errors[0].field ?? body.errors[0].parameter).toMatch(/^\?/);
  });
});

describe("GET /v1/endpoints/{endpoint}/active-workers", () => {
  it("takes a load that is given", async () => {
    const { key, slug } = await makeTenant();
    const path = `/v1/endpoints/${slug}/active-workers`;
    const { body } = await manage(key, "GET", `${path}?requestsPerMinute=6&seconds=30`);
    expect(body).toMatchObject({ activeWorkers: 3, busy: 3, jobsInLastHour: null });
  });

  it("goes by the endpoint's own last hour where nothing is given", async () => {
    const { key, slug, endpointId, tenantId } = await makeTenant();
    const path = `/v1/endpoints/${slug}/active-workers`;
    expect((await manage(key, "GET", path)).body).toMatchObject({ activeWorkers: 0, jobsInLastHour: 0, seconds: 0 });
    const now = Date.now();
    const at = (agoMs: number, other: object = {}) => {
      const finishedAtMs = now - agoMs;
      return usageLine({
        source: v7({ msecs: finishedAtMs - 40_000 }),
        endpointId,
        finishedAtMs,
        startedAtMs: finishedAtMs - 30_000,
        ...other,
      });
    };
    const lines = Array.from({ length: 360 }, (_, index) => at(1_000 + index * 9_000));
    const others = [at(3_700_000), at(5_000, { endpointId: "ep-other" })];
    await writeUsage(env.DB, tenantId, "broker", 362, [...lines, ...others]);
    expect((await manage(key, "GET", path)).body).toMatchObject({
      activeWorkers: 3,
      requestsPerMinute: 6,
      seconds: 30,
      jobsInLastHour: 360,
    });
    expect((await manage(key, "GET", `${path}?seconds=10&slots=2`)).body).toMatchObject({
      activeWorkers: 1,
      busy: 0.5,
    });
  });
});
