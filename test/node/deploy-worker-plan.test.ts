// The pure part of `deploy` in a worker's folder: which requests lead from what a broker has to what waybill.json asks for, and what is
// shown of them.
import { describe, expect, it } from "vitest";
import { type FoundDeploy, planDeploy, type WantedDeploy } from "../../src/cli/project/deploy-plan.ts";
import { planLines, shownPlan } from "../../src/cli/project/deploy-show.ts";
import { settingSentence } from "../../src/cli/project/setting-place.ts";
import type { ProjectSettings } from "../../src/cli/project/settings.ts";
import type { ShownEndpoint } from "../../src/contract/manage/endpoint.ts";

const SCHEMA = { type: "object", required: ["a"] };
const OLD = "ghcr.io/you/w:1";
const NEW = "ghcr.io/you/w:2";
const EMPTY: FoundDeploy = { endpoint: null, template: null };

type Settings = ProjectSettings["settings"];

function folder(more: Partial<ProjectSettings> = {}): ProjectSettings {
  const base = { endpoint: "my-worker", type: "QUEUE", worker: "worker.ts", tier: "a4000", slots: 1 } as const;
  return { ...base, image: "ghcr.io/you/w", env: {}, settings: {}, ...more };
}

function wanted(more: Partial<WantedDeploy> = {}, settings: Settings = {}): WantedDeploy {
  return { settings: folder({ settings }), image: NEW, inputSchema: SCHEMA, pools: ["AMPERE_16"], ...more };
}

const ENDPOINT: ShownEndpoint = {
  id: "0123456789abcdef",
  name: "my-worker",
  type: "QUEUE",
  requestUrls: { base: "", health: "" },
  image: OLD,
  args: "",
  disk: 10,
  ports: [],
  registry: null,
  env: {},
  gpu: { pools: ["AMPERE_16"], count: 1, allowedCudaVersions: [], minCudaVersion: null },
  workers: { min: 0, max: 3, idleTimeout: 5, slots: 1 },
  providers: null,
  schedule: null,
  maxCostPerHour: null,
  initTimeout: 420,
  workerLifetime: 86_400,
  gpuTypesWithoutTier: [],
  scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
  dataCenterIds: [],
  networkVolumes: [],
  timeout: 600_000,
  flashboot: "FLASHBOOT",
  createdAt: "2027-01-31T00:00:00.000Z",
  slug: "my-worker",
  tenantId: "t",
  version: 7,
  release: 3,
  templateId: "tpl-1",
  paused: false,
  maxAttempts: 2,
  ttl: 86_400_000,
  retention: { run: 1_800_000, runsync: 60_000 },
  bodyMaxBytes: 1_000_000,
  inferenceRoutes: "inference",
  tenantSharePercent: null,
  allowedOrigins: [],
  inputSchema: SCHEMA,
  visibility: "PRIVATE",
};

const TEMPLATE: NonNullable<FoundDeploy["template"]> = {
  id: "tpl-1",
  name: "my-worker",
  version: 4,
  image: OLD,
  args: "",
  disk: 10,
  ports: [],
  registry: null,
  env: {},
  mounts: {},
  category: "NVIDIA",
  serverless: true,
  public: false,
  startSsh: true,
  startJupyter: true,
  allowedCudaVersions: [],
};

/** As an earlier deploy has left it, but for these. */
function found(endpoint: Partial<ShownEndpoint> = {}, template: Partial<typeof TEMPLATE> = {}): FoundDeploy {
  return { endpoint: { ...ENDPOINT, ...endpoint }, template: { ...TEMPLATE, ...template } };
}

function plan(asked: WantedDeploy, there: FoundDeploy) {
  const planned = planDeploy(asked, there);
  if (!planned.ok) throw new Error(planned.problem.message);
  return planned.plan;
}

function problem(asked: WantedDeploy, there: FoundDeploy): string {
  const planned = planDeploy(asked, there);
  if (planned.ok) throw new Error("it is planned");
  return settingSentence(planned.problem, asked.settings);
}

const TAG_ALONE = [{ field: "image", old: OLD, new: NEW }];

describe("the plan of a first deploy", () => {
  it("makes a template and an endpoint, of the type and with the GPUs of its tier", () => {
    const file = folder({ env: { MODEL: "a" }, settings: { workers: { max: 5 } } });
    const { template, endpoint } = plan(wanted({ settings: file }), EMPTY);
    expect([template.action, endpoint.action]).toEqual(["create", "create"]);
    expect(template.body).toEqual({ name: "my-worker", image: NEW, serverless: true, env: { MODEL: "a" } });
    expect(endpoint.body).toMatchObject({
      slug: "my-worker",
      type: "QUEUE",
      image: NEW,
      gpu: { pools: ["AMPERE_16"] },
      workers: { max: 5 },
      inputSchema: SCHEMA,
      env: { MODEL: "a" },
    });
  });

  it("shows what the endpoint gets, without the values of its environment and without what it does not get", () => {
    const file = folder({ env: { MODEL: "planted" }, settings: { workers: { max: 5 } } });
    const made = plan(wanted({ settings: file }), EMPTY);
    const lines = planLines(made, "https://broker", false);
    expect(lines.slice(lines.indexOf("endpoint my-worker (QUEUE) is made"))).toEqual([
      "endpoint my-worker (QUEUE) is made",
      `  image: ${NEW}`,
      "  disk: 10",
      "  workers.max: 5",
      "  gpu.pools: AMPERE_16",
      "  gpu.count: 1",
      '  inputSchema: {"type":"object","required":["a"]}',
      "  templateId: (the new one)",
      "  env.MODEL: is set",
    ]);
    expect(JSON.stringify([lines, shownPlan(made)])).not.toContain("planted");
  });

  it("begins the template of an endpoint that was made without one as that endpoint is", () => {
    const there = { endpoint: { ...ENDPOINT, disk: 50, args: "--fast", templateId: null }, template: null };
    const { template, endpoint } = plan(wanted(), there);
    expect(template.body).toMatchObject({ disk: 50, args: "--fast" });
    expect(endpoint.changes).toEqual([...TAG_ALONE, { field: "templateId", old: null, new: "(the new one)" }]);
  });

  it("gives a load-balanced endpoint no input schema", () => {
    const { endpoint } = plan(wanted({ settings: folder({ type: "LOAD_BALANCER" }), inputSchema: null }), EMPTY);
    expect(endpoint.body).not.toHaveProperty("inputSchema");
    expect(endpoint.body).toMatchObject({ type: "LOAD_BALANCER" });
  });

  it("leaves out what only takes something away", () => {
    const settings: Settings = { tenantSharePercent: null, gpu: { minCudaVersion: "" } };
    const { endpoint } = plan(wanted({}, settings), EMPTY);
    expect(endpoint.body).not.toHaveProperty("tenantSharePercent");
    expect(endpoint.body.gpu).toEqual({ pools: ["AMPERE_16"], allowedCudaVersions: [] });
  });
});

describe("the plan of a later deploy", () => {
  it("changes the image alone where nothing but the tag is another one", () => {
    const { template, endpoint } = plan(wanted(), found());
    expect([template.changes, endpoint.changes]).toEqual([TAG_ALONE, TAG_ALONE]);
    expect([template.now?.version, endpoint.now?.version]).toEqual([4, 7]);
  });

  it("changes nothing where all is as it is wanted", () => {
    const { template, endpoint } = plan(wanted({ image: OLD }, { timeout: 600_000, workers: { max: 3 } }), found());
    expect([template.action, endpoint.action]).toEqual(["keep", "keep"]);
    expect(endpoint.kept).toEqual(["image", "timeout", "workers.max", "gpu.pools", "inputSchema"]);
  });

  it("goes on where only the template was changed", () => {
    const { template, endpoint } = plan(wanted(), found({}, { image: NEW }));
    expect([template.action, endpoint.changes]).toEqual(["keep", TAG_ALONE]);
  });

  it("shows each setting that is another one, old and new", () => {
    const settings: Settings = { workers: { max: 5 }, allowedOrigins: ["https://app.example"], disk: 20 };
    const { endpoint } = plan(wanted({ image: OLD, inputSchema: null, pools: ["ADA_24"] }, settings), found());
    expect(endpoint.changes).toEqual([
      { field: "disk", old: 10, new: 20 },
      { field: "gpu.pools", old: ["AMPERE_16"], new: ["ADA_24"] },
      { field: "workers.max", old: 3, new: 5 },
      { field: "allowedOrigins", old: null, new: ["https://app.example"] },
      { field: "inputSchema", old: SCHEMA, new: null },
    ]);
  });

  it("leaves what waybill.json does not name as the endpoint has it, whatever the template has", () => {
    const there = found(
      { disk: 50, args: "--fast", registry: "reg-1", workers: { min: 1, max: 9, slots: 1 }, paused: true },
      { disk: 10, args: "--slow", ports: ["80/http"] },
    );
    const { endpoint } = plan(wanted(), there);
    expect(endpoint.changes).toEqual(TAG_ALONE);
    expect(endpoint.body).toMatchObject({ disk: 50, args: "--fast", ports: [], registry: "reg-1" });
  });

  it("keeps variables that the file does not name, which may be secrets", () => {
    const file = folder({ env: { MODEL: "b" } });
    const there = found({ env: { MODEL: "a", HF_TOKEN: "secret" } }, { env: { MODEL: "a" } });
    const { endpoint } = plan(wanted({ settings: file, image: OLD }), there);
    expect(endpoint.body.env).toEqual({ MODEL: "b", HF_TOKEN: "secret" });
    expect(endpoint.changes).toEqual([{ field: "env.MODEL", old: "(hidden)", new: "(hidden)" }]);
    expect(endpoint.kept).toContain("env.HF_TOKEN");
  });

  it("shows a variable that the template brings", () => {
    const { endpoint } = plan(wanted({ image: OLD }), found({}, { env: { FROM_TEMPLATE: "x" } }));
    expect(endpoint.changes).toEqual([{ field: "env.FROM_TEMPLATE", old: null, new: "(hidden)" }]);
  });

  it("does not name pools that are there, which would take their exclusions away", () => {
    const gpu = { ...ENDPOINT.gpu, pools: ["AMPERE_16"], excludedTypes: ["NVIDIA RTX A4500"] };
    const there = found({ gpu: { count: 1, allowedCudaVersions: [], minCudaVersion: null, ...gpu } });
    const { endpoint } = plan(wanted({}, { gpu: { count: 2 } }), there);
    expect(endpoint.body.gpu).toEqual({ count: 2, allowedCudaVersions: [] });
    expect(endpoint.changes).toContainEqual({ field: "gpu.count", old: 1, new: 2 });
  });

  it("keeps the endpoint's versions of CUDA from those of the template", () => {
    const gpu = { pools: ["AMPERE_16"], count: 1, allowedCudaVersions: ["12.8"], minCudaVersion: null };
    const { endpoint } = plan(wanted({ image: OLD }), found({ gpu }, { allowedCudaVersions: ["12.4"] }));
    expect([endpoint.action, endpoint.body.gpu]).toEqual(["keep", { allowedCudaVersions: ["12.8"] }]);
  });

  it("leaves an endpoint on its CPUs, and one of other GPUs where no tier is to be taken", () => {
    const cpu = [{ id: "cpu3c", vcpuCount: 2, memory: 4 }];
    expect(plan(wanted({ image: OLD }), found({ gpu: null, cpu })).endpoint.action).toBe("keep");
    const gpu = { pools: ["ADA_24"], count: 1, allowedCudaVersions: [], minCudaVersion: null };
    expect(plan(wanted({ image: OLD, pools: null }), found({ gpu })).endpoint.action).toBe("keep");
  });

  it("takes both names of the longest time for one", () => {
    const day = 7 * 24 * 3_600_000;
    for (const timeout of [0, day])
      expect(plan(wanted({ image: OLD }, { timeout }), found({ timeout: 0 })).endpoint.action).toBe("keep");
  });
});

describe("a setting that the broker would refuse", () => {
  it("is named by its place in waybill.json", () => {
    const rows: [WantedDeploy, FoundDeploy, string][] = [
      [wanted({}, { workers: { min: 4 } }), EMPTY, "settings.workers.min: must not be over workers.max"],
      [wanted({}, { workers: { min: 4 } }), found(), "settings.workers.min: must not be over workers.max"],
      [wanted({ pools: ["NONE"] }), EMPTY, "tier: there is no pool NONE; there are "],
      [wanted({}, { gpu: { pools: ["NONE"] } }), EMPTY, "settings.gpu.pools: there is no pool NONE; there are "],
      [wanted({}, { cpu: [{ id: "cpu3c", vcpuCount: 2 }] }), found(), "settings.cpu: gpu and cpu exclude each other"],
      [wanted({ settings: folder({ endpoint: "serverless" }) }), EMPTY, "endpoint: is a word of the management API"],
      [wanted({}, { inferenceRoutes: "all", visibility: "PUBLIC" }), EMPTY, "settings.inferenceRoutes: all is not for"],
    ];
    for (const [asked, there, sentence] of rows)
      expect(problem(asked, there)).toContain(`waybill.json is wrong: ${sentence}`);
  });

  it("is a way to scale that its type does not have", () => {
    const settings: Settings = { scaling: { type: "QUEUE_DELAY", queueDelay: 4 } };
    const asked = wanted({ settings: folder({ type: "LOAD_BALANCER", settings }), inputSchema: null });
    expect(problem(asked, EMPTY)).toContain("settings.scaling.type: must be REQUEST_COUNT");
  });

  it("is an environment that is too large with what the broker has already", () => {
    const env = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`NEW_${at}`, "x"]));
    const old = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`OLD_${at}`, "x"]));
    expect(problem(wanted({ settings: folder({ env }) }), found({ env: old }))).toContain(
      "env: with the variables that the broker has already it may have at most 500 variables",
    );
  });
});
