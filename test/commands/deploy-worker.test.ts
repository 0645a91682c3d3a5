// `deploy` in a worker's folder against a running broker, with a Docker that only notes what it is asked.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildPackage } from "../../src/cli/package/build.ts";
import { CuttingProxy } from "./cutting-proxy.ts";
import { NODES } from "./installed-package.ts";
import { type Operator, startOperator } from "./operator.ts";
import { type Ended, WorkerFolder } from "./worker-folder.ts";

const IMAGE = "ghcr.io/you/w";
let operator: Operator;
let proxy: CuttingProxy;
const built = mkdtempSync(join(tmpdir(), "built package "));
const folders: WorkerFolder[] = [];

beforeAll(async () => {
  [operator] = await Promise.all([startOperator(), buildPackage(built)]);
  proxy = new CuttingProxy(operator.broker.url);
  await proxy.listen();
}, 120_000);

afterAll(async () => {
  for (const folder of folders) folder.discard();
  rmSync(built, { recursive: true, force: true });
  await proxy?.close();
  await operator?.stop();
});

/** A folder whose broker is reached by the proxy. */
function folder(endpoint: string, more: object = {}, key = operator.broker.key): WorkerFolder {
  proxy.fate = () => "passes";
  const made = new WorkerFolder({ built, url: proxy.url, key }, { endpoint, image: IMAGE, ...more });
  folders.push(made);
  return made;
}

// biome-ignore lint/suspicious/noExplicitAny: tests look at parts of answers of any shape
async function get(path: string): Promise<any> {
  return (await operator.broker.call(path)).json();
}

// biome-ignore lint/suspicious/noExplicitAny: as above
async function post(path: string, body: object): Promise<any> {
  return (await operator.broker.call(path, JSON.stringify(body))).json();
}

async function patch(path: string, body: object): Promise<number> {
  const headers = { authorization: `Bearer ${operator.broker.key}`, "content-type": "application/json" };
  const init = { method: "PATCH", headers, body: JSON.stringify(body) };
  return (await fetch(`${operator.broker.url}${path}`, init)).status;
}

/** Of the templates and endpoints of a name there are so many. */
function counted(name: string): [number, number] {
  const [row] = operator.rowsOf(`SELECT (SELECT count(*) FROM templates WHERE name = '${name}') AS templates,
    (SELECT count(*) FROM endpoints WHERE slug = '${name}') AS endpoints`);
  return [Number(row?.templates), Number(row?.endpoints)];
}

/** The answer with --json. */
// biome-ignore lint/suspicious/noExplicitAny: as above
function json({ stdout, stderr }: Ended): any {
  expect(stdout, stderr).toMatch(/^\{/);
  return JSON.parse(stdout);
}

const BUILT = (tag: string, where: WorkerFolder) => [
  `build --platform linux/amd64 --tag ${IMAGE}:${tag} . in ${where.path}`,
  `push ${IMAGE}:${tag} in ${where.path}`,
];

describe("deploy", () => {
  it("builds the image, makes the endpoint with its input schema, and tells how workers get there", async () => {
    const worker = folder("first", { env: { MODEL: "planted" }, settings: { workers: { max: 5 } }, slots: 2 });
    // On the oldest Node that it runs on, where this machine has that.
    const deployed = await worker.deploy("--yes --tag one", NODES.at(-1)?.node);
    expect(deployed, deployed.stderr).toMatchObject({ code: 0, stderr: "docker prints build\ndocker prints push\n" });
    expect(worker.dockerCalls()).toEqual(BUILT("one", worker));
    const endpoint = await get("/v1/endpoints/first");
    expect(endpoint).toMatchObject({
      type: "QUEUE",
      image: `${IMAGE}:one`,
      gpu: { pools: ["AMPERE_16"] },
      workers: { max: 5 },
      env: { MODEL: "planted" },
    });
    const template = { name: "first", image: `${IMAGE}:one`, serverless: true, env: { MODEL: "planted" } };
    expect(await get(`/v2/templates/${endpoint.templateId}`)).toMatchObject(template);
    expect(deployed.stdout).toContain(endpoint.requestUrls.run);
    expect(deployed.stdout).toContain(
      "  npx waybill worker-env first --tier a4000 --slots 2 --format docker > worker.env\n",
    );
    expect(deployed.stdout).toMatch(/docker run .* --env-file worker\.env .* -e MODEL ghcr\.io\/you\/w:one\n/);
    expect(deployed.stdout).not.toContain("planted");

    const refused = await operator.broker.call("/v2/first/run", '{"input": {"a": "no number"}}');
    expect([refused.status, await refused.json()]).toEqual([
      400,
      expect.objectContaining({ errors: [expect.objectContaining({ field: "input/a" })] }),
    ]);
    expect((await operator.broker.call("/v2/first/run", '{"input": {"a": 1}}')).status).toBe(200);

    // The same again changes the tag and nothing else.
    const { plan, result } = json(await worker.deploy("--yes --tag two --json"));
    const changes = [{ field: "image", old: `${IMAGE}:one`, new: `${IMAGE}:two` }];
    expect([plan.template.changes, plan.endpoint.changes]).toEqual([changes, changes]);
    expect(result).toMatchObject({ endpointId: endpoint.id, templateId: endpoint.templateId, release: 2 });
    const third = json(await worker.deploy("--tag two --image-is-pushed --json"));
    expect([third.plan.template.action, third.plan.endpoint.action]).toEqual(["keep", "keep"]);
    expect((await get("/v1/endpoints/first")).version).toBe(result.version);
  });

  it("takes settings of all kinds, and finds nothing to change in what it has made of them", async () => {
    const settings = {
      name: "For people",
      timeout: 604_800_000,
      gpu: { pools: ["AMPERE_16"], count: 2, excludedTypes: ["NVIDIA RTX A4500"], minCudaVersion: "12.4" },
      workers: { min: 1, max: 4, idleTimeout: 30 },
      scaling: { queueDelay: 2, type: "QUEUE_DELAY" },
      flashboot: "OFF",
      args: "--fast",
      disk: 20,
      ports: ["8888/http"],
      registry: null,
      dataCenterIds: ["OWN"],
      paused: true,
      maxAttempts: 3,
      ttl: 3_600_000,
      retention: { run: 60_000 },
      inferenceRoutes: "inference,GET /v1/files/*",
      tenantSharePercent: 50,
      allowedOrigins: ["https://app.example"],
      visibility: "PUBLIC",
    };
    const worker = folder("whole", { settings, tier: "a4000" });
    expect(await worker.deploy("--yes --tag one --image-is-pushed")).toMatchObject({ code: 0 });
    const { plan } = json(await worker.deploy("--tag one --image-is-pushed --json"));
    expect([plan.template.changes, plan.endpoint.changes]).toEqual([[], []]);
  });

  it("leaves what waybill.json does not name as others have set it", async () => {
    const worker = folder("kept", { env: { MODEL: "a" } });
    await worker.deploy("--yes --tag one --image-is-pushed");
    const secret = {
      env: { MODEL: "a", HF_TOKEN: "secret" },
      workers: { max: 9 },
      disk: 50,
      gpu: { pools: ["ADA_24"] },
    };
    expect(await patch("/v1/endpoints/kept", secret)).toBe(200);
    worker.configure({ endpoint: "kept", image: IMAGE, env: { MODEL: "b" }, settings: { timeout: 60_000 } });
    const { plan } = json(await worker.deploy("--yes --tag two --image-is-pushed --json"));
    expect(plan.endpoint.changes.map(({ field }: { field: string }) => field)).toEqual([
      "image",
      "timeout",
      "env.MODEL",
    ]);
    expect(plan.endpoint.kept).toContain("env.HF_TOKEN");
    expect(await get("/v1/endpoints/kept")).toMatchObject({ ...secret, env: { MODEL: "b", HF_TOKEN: "secret" } });
  });

  it("makes a load-balanced endpoint, whose workers are added by their addresses", async () => {
    const deployed = await folder("balanced", { type: "LOAD_BALANCER" }).deploy("--yes --tag one --image-is-pushed");
    const { requestUrls } = await get("/v1/endpoints/balanced");
    expect(deployed.stdout).toContain(requestUrls.base);
    expect(deployed.stdout).toContain(
      "upstream add --endpoint balanced --dialect http --url https://HOST --tier a4000",
    );
  });
});

describe("deploy does nothing", () => {
  it("without a terminal and without --yes, and in a dry run, but print its plan", async () => {
    const worker = folder("undone");
    for (const [words, code] of [
      ["--tag one", 2],
      ["--tag one --dry-run", 0],
    ] as const) {
      const ended = await worker.deploy(words);
      expect(ended).toMatchObject({ code, stdout: expect.stringContaining(`\n  image: ${IMAGE}:one\n`) });
    }
    const asJson = await worker.deploy("--json");
    expect([asJson.code, json(asJson).plan.image]).toEqual([2, expect.stringMatching(/:\d{8}-\d{6}$/)]);
    expect([worker.dockerCalls(), counted("undone")]).toEqual([[], [0, 0]]);
  });

  // Elsewhere script(1) has other options.
  it.skipIf(process.platform !== "linux")("at a terminal until the answer is yes", async () => {
    const worker = folder("asked");
    const no = await worker.deployAtTerminal("--tag one", "n\n");
    expect([no.code, worker.dockerCalls(), counted("asked")]).toEqual([1, [], [0, 0]]);
    const yes = await worker.deployAtTerminal("--tag one", "y\n");
    expect([yes.code, worker.dockerCalls(), counted("asked")]).toEqual([0, BUILT("one", worker), [1, 1]]);
  });

  it("where the build fails, or the push", async () => {
    const worker = folder("broken");
    for (const word of ["build", "push"] as const) {
      worker.breakDocker(word);
      const sentence = `docker cannot ${word}\ndocker ${word} ended with 17: nothing is changed at the broker\n`;
      const failed = { code: 1, stderr: expect.stringContaining(sentence) };
      expect(await worker.deploy("--yes --tag one")).toMatchObject(failed);
      worker.breakDocker(word, false);
    }
    expect(counted("broken")).toEqual([0, 0]);
  });

  it("where no Docker daemon answers, but print the commands, and goes on when the image is pushed", async () => {
    const worker = folder("elsewhere");
    worker.breakDocker("version");
    const { commands, next } = json(await worker.deploy("--yes --tag one --json"));
    expect(commands).toEqual([`docker build --platform linux/amd64 --tag ${IMAGE}:one .`, `docker push ${IMAGE}:one`]);
    const stopped = await worker.deploy("--yes --tag one");
    expect(stopped).toMatchObject({ code: 1, stderr: expect.stringContaining(`go on: ${next}\n`) });
    expect([worker.dockerCalls(), counted("elsewhere")]).toEqual([[], [0, 0]]);
    expect(await worker.deploy(`${next.replace("npx waybill deploy ", "")} --yes`)).toMatchObject({ code: 0 });
    expect([worker.dockerCalls(), counted("elsewhere")]).toEqual([[], [1, 1]]);
    // Whoever has named a broker means it in the commands that follow, too.
    const { next: there } = json(await worker.deploy(`--yes --tag one --json --broker ${operator.broker.url}`));
    expect(there).toBe(`${next} --broker ${operator.broker.url}`);
  });

  it("where something in the folder is wrong, which it names before anything is built", async () => {
    const worker = folder("wrong");
    const rows: [object, string, string][] = [
      [{ settings: { workers: { min: 4 } } }, "", "settings.workers.min: must not be over workers.max"],
      [{ settings: { workers: { max: -1 } } }, "", "settings.workers.max: "],
      [{ tier: "a4001" }, "", "tier: there is no tier a4001; there are a4000, "],
      [{}, "--image-is-pushed", "--tag is missing"],
    ];
    for (const [settings, words, sentence] of rows) {
      worker.configure({ endpoint: "wrong", image: IMAGE, ...settings });
      const ended = await worker.deploy(`--yes ${words}`);
      expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining(sentence) });
    }
    worker.configure({ endpoint: "wrong", image: IMAGE });
    rmSync(join(worker.path, "Dockerfile"));
    const ended = await worker.deploy("--yes");
    expect(ended).toMatchObject({ code: 2, stderr: expect.stringContaining("there is no Dockerfile in ") });
    expect([worker.dockerCalls(), counted("wrong")]).toEqual([[], [0, 0]]);
  });

  it("with a key that may not, for a slug of somebody else's, or for an endpoint of the other type", async () => {
    const { id } = await post("/v1/tenants", { name: "other" });
    const other = await post("/v1/keys", { tenantId: id, scopes: ["jobs", "manage"], name: "other" });
    const reader = await post("/v1/keys", { scopes: ["jobs"], name: "reader" });
    await post("/v1/endpoints", { slug: "taken" });
    const pushed = "--yes --tag one --image-is-pushed";

    const forbidden = { code: 4, stderr: "deploy needs a key with the scope manage; yours has jobs\n" };
    expect(await folder("mine", {}, reader.key).deploy(pushed)).toMatchObject(forbidden);

    const taken = await folder("taken", {}, other.key).deploy(pushed);
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringMatching(/^the name taken is taken: by another/) });
    // No template is left of an endpoint that never was.
    expect(counted("taken")).toEqual([0, 1]);

    const init = { method: "POST", headers: { authorization: `Bearer ${other.key}` }, body: '{"slug": "theirs"}' };
    await fetch(`${operator.broker.url}/v1/endpoints`, init);
    const foreign = { code: 2, stderr: expect.stringContaining(`the endpoint theirs is of the tenant ${id}`) };
    expect(await folder("theirs").deploy(pushed)).toMatchObject(foreign);

    const type = { code: 2, stderr: expect.stringContaining("is of the type QUEUE, which cannot change") };
    expect(await folder("taken", { type: "LOAD_BALANCER" }).deploy(pushed)).toMatchObject(type);
  });
});

describe("a deploy that is interrupted", () => {
  const pushed = "--yes --tag two --image-is-pushed";

  it("does not overwrite what others have changed since its plan, and goes on by the command that it prints", async () => {
    const worker = folder("raced");
    await worker.deploy("--yes --tag one --image-is-pushed");
    proxy.fate = async (call) => {
      if (call.startsWith("PATCH /v1/endpoints")) await patch("/v1/endpoints/raced", { workers: { max: 7 } });
      return "passes" as const;
    };
    const refused = await worker.deploy(pushed);
    proxy.fate = () => "passes";
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("somebody else has changed the endpoint"),
    });
    expect(await get("/v1/endpoints/raced")).toMatchObject({ image: `${IMAGE}:one`, workers: { max: 7 } });
    expect(refused.stderr).toContain("To go on: npx waybill deploy --tag two --image-is-pushed\n");
    const { plan } = json(await worker.deploy(`${pushed} --json`));
    expect([plan.template.action, plan.endpoint.action]).toEqual(["keep", "change"]);
    expect(await get("/v1/endpoints/raced")).toMatchObject({ image: `${IMAGE}:two`, workers: { max: 7 } });
  });

  it("goes on where the broker was gone between template and endpoint", async () => {
    const worker = folder("gone");
    proxy.fate = (call) => (call === "POST /v1/endpoints" ? "cut" : "passes");
    const ended = await worker.deploy(pushed);
    expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining("The template is as planned.") });
    expect(counted("gone")).toEqual([1, 0]);
    proxy.fate = () => "passes";
    expect(await worker.deploy(pushed)).toMatchObject({ code: 0 });
    expect(counted("gone")).toEqual([1, 1]);
  });

  it("names a setting that the broker refuses by its place in waybill.json, and leaves nothing half made", async () => {
    const worker = folder("refused", { settings: { disk: 20, workers: { max: 4 } } });
    const body = { detail: "validation failed", errors: ["$.disk: must be at most 15"] };
    proxy.fate = (call) => (call === "POST /v2/templates" ? { status: 422, body } : "passes");
    const ofTemplate =
      "waybill.json is wrong: settings.disk: must be at most 15\nNothing is changed at the broker. To go on";
    expect(await worker.deploy(pushed)).toMatchObject({ code: 1, stderr: expect.stringContaining(ofTemplate) });
    const problem = { detail: "x", errors: [{ field: "workers.max", message: "must be at most 3" }] };
    proxy.fate = (call) => (call === "POST /v1/endpoints" ? { status: 400, body: problem } : "passes");
    const ofEndpoint =
      "waybill.json is wrong: settings.workers.max: must be at most 3\nNothing is changed at the broker.";
    expect(await worker.deploy(pushed)).toMatchObject({ code: 1, stderr: expect.stringContaining(ofEndpoint) });
    expect(counted("refused")).toEqual([0, 0]);
  });

  it("makes nothing twice whose answer was lost", async () => {
    const worker = folder("lost");
    const lost = new Set<string>();
    proxy.fate = (call) => {
      if (!call.startsWith("POST ") || lost.has(call)) return "passes";
      lost.add(call);
      return "lost";
    };
    expect(await worker.deploy(pushed)).toMatchObject({ code: 0 });
    expect([...lost]).toEqual(["POST /v2/templates", "POST /v1/endpoints"]);
    expect(counted("lost")).toEqual([1, 1]);
  });
});
