// The hooks of docs/providers.md, cut out of its text and run as they stand there, with a docker and a Kubernetes that are fakes.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import {
  type HookAnswer,
  type HookMachine,
  type HookRequest,
  hookAnswerSchema,
  hookRequestSchema,
} from "../../src/contract/fleet-hook.ts";
import { takePort } from "../running/port.ts";
import { FakeContainerEngine } from "./fake-container-engine.ts";

const hasPython = spawnSync("python3", ["--version"]).status === 0;
const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ENDPOINT = "0123456789abcdef";
const ONE = `wb-${ENDPOINT}-k3v9x0ab12cd`;
const TWO = `wb-${ENDPOINT}-a1b2c3d4e5f6`;
const WAITING = { timeout: 30_000, interval: 100 };

const guide = readFileSync(join(PROJECT_FOLDER, "docs/providers.md"), "utf8");
const blocksOf = (kind: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${kind}\n([\\s\\S]*?)^\`\`\``, "gm"))].map(([, code = ""]) => code);
const [hook = "", dockerHook = "", kubernetesHook = ""] = blocksOf("python");

let folder: string;
let ends: (() => Promise<unknown>)[] = [];
let number = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "waybill-hooks-"));
  writeFileSync(join(folder, "hook.py"), hook);
  writeFileSync(join(folder, "docker_hook.py"), dockerHook);
  writeFileSync(join(folder, "kubernetes_hook.py"), kubernetesHook);
});

beforeEach(() => {
  number = 0;
  rmSync(join(folder, "waybill-numbers.json"), { force: true });
  rmSync(join(folder, "waybill-stopped.json"), { force: true });
});

afterEach(async () => {
  await Promise.all(ends.map((end) => end()));
  ends = [];
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  return address.port;
}

/** Runs a file of the folder, and resolves with its address when it listens. */
async function run(file: string, variables: Readonly<Record<string, string>>): Promise<string> {
  const port = await takePort();
  const env = { ...process.env, WAYBILL_HOOK_SECRET: SECRET, PORT: String(port), ...variables };
  const child = spawn("python3", [file], { cwd: folder, env, stdio: "ignore" });
  const exited = once(child, "exit");
  ends.push(() => {
    child.kill("SIGKILL");
    return exited;
  });
  const url = `http://127.0.0.1:${port}/`;
  await vi.waitFor(async () => expect((await fetch(url)).status).toBe(501), WAITING);
  return url;
}

function machine(
  name: string,
  state: HookMachine["state"] = "running",
  endsAt = "2099-01-31T12:00:00.000Z",
): HookMachine {
  const instanceId = name.slice(-12);
  return {
    name,
    instanceId,
    id: null,
    gpuTypeId: "NVIDIA L4",
    tier: "l4",
    state,
    endsAt,
    env: { RUNPOD_POD_ID: instanceId, KEY: '$ID "x"' },
  };
}

const WORKER: NonNullable<HookRequest["worker"]> = {
  ...{
    image: "acme/worker:1.2",
    args: "--name 'a b'",
    disk: null,
    ports: [],
    httpPort: null,
    registry: null,
    gpuCount: 1,
  },
  ...{ allowedCudaVersions: [], minCudaVersion: null, dataCenterIds: [], networkVolumes: [] },
  env: { MODEL: "small", KEY: "of the endpoint" },
};

async function send(
  url: string,
  machines: readonly HookMachine[],
  change: Partial<HookRequest> = {},
  secret = SECRET,
): Promise<{ readonly status: number; readonly body: unknown }> {
  number += 1;
  const request: HookRequest = {
    ...{ type: "fleet.desired", version: 1, endpointId: ENDPOINT, number, operation: "list", machine: null },
    ...{ worker: WORKER, machines: [...machines], ...change },
  };
  const body = JSON.stringify(hookRequestSchema.parse(request));
  const at = new Date();
  const headers = {
    "webhook-id": `fleet_${number}`,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(secret).sign(`fleet_${number}`, at, body),
  };
  const response = await fetch(url, { method: "POST", body, headers });
  return { status: response.status, body: await response.json() };
}

/** What a good answer has. */
async function tell(...asked: Parameters<typeof send>): Promise<HookAnswer> {
  const { status, body } = await send(...asked);
  expect(status, JSON.stringify(body)).toBe(200);
  return hookAnswerSchema.parse(body);
}

const shown = ({ machines }: HookAnswer) => Object.fromEntries(machines.map(({ name, status }) => [name, status]));

it("the document shows a request and an answer that are such", () => {
  const blocks = blocksOf("json");
  const [request = "", answer = ""] = blocks.slice(blocks.findIndex((block) => block.includes('"fleet.desired"')));
  expect(hookRequestSchema.parse(JSON.parse(request))).toEqual(JSON.parse(request));
  expect(hookAnswerSchema.parse(JSON.parse(answer))).toEqual(JSON.parse(answer));
});

describe.skipIf(!hasPython)("the hook for Docker", () => {
  let engine: FakeContainerEngine;
  let url: string;

  beforeEach(async () => {
    engine = new FakeContainerEngine();
    ends.push(async () => engine.discard());
    url = await run("docker_hook.py", {
      ...engine.environment,
      GPU_TYPE: "NVIDIA L4",
      GPUS: "0,1",
      LOOK_EVERY_SECONDS: "0.2",
      DOCKER_RUN_FLAGS: "--network host",
    });
  });

  const untilShown = (machines: readonly HookMachine[], statuses: Readonly<Record<string, string>>) =>
    vi.waitFor(async () => expect(shown(await tell(url, machines))).toEqual(statuses), WAITING);

  it("makes a container with its own GPU and environment, stops and starts it, and ends it", async () => {
    const first = await tell(url, [machine(ONE)], { operation: "create", machine: ONE });
    expect(["creating", "running"]).toContain(shown(first)[ONE]);
    await untilShown([machine(ONE), machine(TWO)], { [ONE]: "running", [TWO]: "running" });
    const { [ONE]: one, [TWO]: two } = engine.containers();
    expect(one?.network).toBe("host");
    expect(one?.run).toEqual(["acme/worker:1.2", "--name", "a b"]);
    expect(one?.env).toBe(`MODEL=small\nKEY=$ID "x"\nRUNPOD_POD_ID=k3v9x0ab12cd\n`);
    expect([one?.gpus, two?.gpus]).toEqual(['"device=0"', '"device=1"']);
    const halted = [machine(ONE, "stopped"), machine(TWO)];
    expect(shown(await tell(url, halted, { operation: "stop", machine: ONE }))).toEqual({
      [ONE]: "stopped",
      [TWO]: "running",
    });
    await tell(url, [machine(ONE), machine(TWO)], { operation: "start", machine: ONE });
    await untilShown([machine(ONE), machine(TWO)], { [ONE]: "running", [TWO]: "running" });
    expect(shown(await tell(url, [machine(TWO)], { operation: "end", machine: ONE, worker: null }))).toEqual({
      [TWO]: "running",
    });
    expect(Object.keys(engine.containers())).toEqual([TWO]);
  });

  it("refuses what it has no GPU for, and takes it when one is free", async () => {
    const three = `wb-${ENDPOINT}-111111111111`;
    await untilShown([machine(ONE), machine(TWO)], { [ONE]: "running", [TWO]: "running" });
    const { refused } = await tell(url, [machine(ONE), machine(TWO), machine(three)]);
    expect(refused).toEqual([{ name: three, reason: "no_capacity", detail: "0 of 2 GPUs are free" }]);
    await untilShown([machine(TWO), machine(three)], { [TWO]: "running", [three]: "running" });
    const other = { ...machine(ONE), gpuTypeId: "NVIDIA H200" };
    expect((await tell(url, [other])).refused).toMatchObject([{ name: ONE, reason: "bad_config" }]);
  });

  it("does not start again a stopped one whose GPU another has", async () => {
    await untilShown([machine(ONE)], { [ONE]: "running" });
    const halted = machine(ONE, "stopped");
    await untilShown([halted], { [ONE]: "stopped" });
    const three = `wb-${ENDPOINT}-111111111111`;
    await untilShown([halted, machine(TWO), machine(three)], {
      [ONE]: "stopped",
      [TWO]: "running",
      [three]: "running",
    });
    const { refused } = await tell(url, [machine(ONE), machine(TWO), machine(three)], {
      operation: "start",
      machine: ONE,
    });
    expect(refused).toMatchObject([{ name: ONE, reason: "no_capacity" }]);
    // It is started by the next call that finds its GPU free.
    await untilShown([machine(ONE), machine(three)], { [ONE]: "running", [three]: "running" });
  });

  it("starts a stopped one though a newer state has overtaken its start, and leaves one that has ended by itself since", async () => {
    const [both, halted] = [
      [machine(ONE), machine(TWO)],
      [machine(ONE, "stopped"), machine(TWO, "stopped")],
    ];
    await untilShown(both, { [ONE]: "running", [TWO]: "running" });
    await untilShown(halted, { [ONE]: "stopped", [TWO]: "stopped" });
    number += 1;
    const overtaken = { operation: "start", machine: ONE, number } as const;
    const answer = await tell(url, both, { operation: "start", machine: TWO });
    expect(await send(url, both, overtaken)).toMatchObject({ status: 409 });
    expect(shown(answer)).toEqual({ [ONE]: "running", [TWO]: "running" });
    engine.exit(ONE);
    expect(shown(await tell(url, both))).toEqual({ [ONE]: "failed", [TWO]: "running" });
  });

  it("starts one of two stopped ones that have the same GPU", async () => {
    const three = `wb-${ENDPOINT}-111111111111`;
    await untilShown([machine(ONE), machine(TWO)], { [ONE]: "running", [TWO]: "running" });
    await untilShown([machine(ONE, "stopped"), machine(TWO)], { [ONE]: "stopped", [TWO]: "running" });
    await untilShown([machine(ONE, "stopped"), machine(TWO), machine(three)], {
      [ONE]: "stopped",
      [TWO]: "running",
      [three]: "running",
    });
    const halted = [machine(ONE, "stopped"), machine(TWO), machine(three, "stopped")];
    await untilShown(halted, { [ONE]: "stopped", [TWO]: "running", [three]: "stopped" });
    const { machines, refused } = await tell(url, [machine(ONE), machine(TWO), machine(three)]);
    expect(machines.map(({ status }) => status).sort()).toEqual(["running", "running", "stopped"]);
    expect(refused).toMatchObject([{ reason: "no_capacity" }]);
  });

  it("makes a machine on the GPUs of one that the same state ends", async () => {
    await untilShown([machine(ONE)], { [ONE]: "running" });
    const worker = { ...WORKER, gpuCount: 2 };
    const answer = await tell(url, [machine(TWO)], { operation: "create", machine: TWO, worker });
    expect(answer.refused).toEqual([]);
    expect(Object.keys(shown(answer))).toEqual([TWO]);
  });

  describe("when a machine is stopped whose GPU another one has", () => {
    const three = `wb-${ENDPOINT}-111111111111`;
    const halted = machine(ONE, "stopped");

    beforeEach(async () => {
      await untilShown([machine(ONE)], { [ONE]: "running" });
      await untilShown([halted], { [ONE]: "stopped" });
      await untilShown([halted, machine(TWO)], { [ONE]: "stopped", [TWO]: "running" });
    });

    it("starts it beside the end of the other one, before it makes new ones", async () => {
      const answer = await tell(url, [machine(three), machine(ONE)], { operation: "end", machine: TWO });
      expect(answer.refused).toEqual([]);
      await untilShown([machine(three), machine(ONE)], { [ONE]: "running", [three]: "running" });
      const { [ONE]: one, [three]: made } = engine.containers();
      expect([one?.gpus, made?.gpus]).toEqual(['"device=0"', '"device=1"']);
    });

    it("starts it beside the stop of the other one", async () => {
      const answer = await tell(url, [machine(ONE), machine(TWO, "stopped")], { operation: "start", machine: ONE });
      expect(answer.refused).toEqual([]);
      expect(shown(answer)).toEqual({ [ONE]: "running", [TWO]: "stopped" });
    });
  });

  it("refuses the start of a machine that docker cannot start, with its words", async () => {
    const once = { worker: { ...WORKER, image: "once:1" } };
    await vi.waitFor(
      async () => expect(shown(await tell(url, [machine(ONE)], once))).toEqual({ [ONE]: "running" }),
      WAITING,
    );
    await untilShown([machine(ONE, "stopped")], { [ONE]: "stopped" });
    const answer = await tell(url, [machine(ONE)], { operation: "start", machine: ONE });
    expect(answer.refused).toEqual([
      { name: ONE, reason: "no_capacity", detail: expect.stringContaining("could not select device driver") },
    ]);
    expect(shown(answer)).toEqual({ [ONE]: "stopped" });
  });

  it("answers with an error while docker does not, as no machine in the answer would be one that is gone", async () => {
    await untilShown([machine(ONE)], { [ONE]: "running" });
    engine.goDown();
    const { status, body } = await send(url, [machine(ONE)]);
    expect(status).toBe(500);
    expect(body).toMatchObject({ detail: expect.stringContaining("Cannot connect to the Docker daemon") });
  });

  it("tells what has failed, and why, until it is not wanted any more", async () => {
    const broken = { worker: { ...WORKER, image: "broken:1" } };
    await vi.waitFor(async () => {
      const { machines } = await tell(url, [machine(ONE)], broken);
      expect(machines).toMatchObject([
        { name: ONE, status: "failed", detail: expect.stringContaining("Unable to find image") },
      ]);
    }, WAITING);
    expect(shown(await tell(url, []))).toEqual({});
    await vi.waitFor(async () => {
      const { machines } = await tell(url, [machine(TWO)], { worker: { ...WORKER, image: "short:1" } });
      expect(machines).toMatchObject([{ name: TWO, status: "failed", detail: "its last words\n" }]);
    }, WAITING);
    // A list starts nothing again.
    expect(shown(await tell(url, [machine(TWO)]))).toEqual({ [TWO]: "failed" });
    expect(shown(await tell(url, []))).toEqual({});
  });

  it("ends a container at its hard end, though nobody calls", async () => {
    await tell(url, [machine(ONE, "running", new Date(Date.now() - 1_000).toISOString())]);
    await vi.waitFor(() => expect(engine.containers()).toEqual({}), WAITING);
  });

  it("takes no call that is not signed, and no state that is older than one it has", async () => {
    await untilShown([machine(ONE)], { [ONE]: "running" });
    expect((await send(url, [], {}, `whsec_${btoa("the secret of somebody else")}`)).status).toBe(401);
    const newest = number - 1;
    expect(await send(url, [], { number: newest })).toEqual({ status: 409, body: { number: newest } });
    expect(Object.keys(engine.containers())).toEqual([ONE]);
    // Another endpoint counts for itself, and its machines are its own.
    expect(shown(await tell(url, [], { endpointId: "fedcba9876543210", number: 1 }))).toEqual({});
    expect(Object.keys(engine.containers())).toEqual([ONE]);
  });
});

describe.skipIf(!hasPython)("the hook for Kubernetes", () => {
  /** Pods by their names, as the API server has them. */
  const pods = new Map<string, Record<string, unknown>>();
  let refusal: { readonly status: number; readonly message: string } | null = null;
  let url: string;

  beforeEach(async () => {
    pods.clear();
    refusal = null;
    const server = createServer(async (request, response) => {
      const reply = (status: number, body: object) =>
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
      const { pathname, searchParams } = new URL(request.url ?? "/", "http://api");
      const body = await text(request);
      if (request.headers.authorization !== "Bearer of the account") return reply(401, { message: "Unauthorized" });
      const [, name] = /^\/api\/v1\/namespaces\/machines\/pods(?:\/([^/]+))?$/.exec(pathname) ?? [null, undefined];
      if (request.method === "GET") {
        const [key = "", value] = (searchParams.get("labelSelector") ?? "").split("=");
        const has = (pod: Record<string, unknown>) => JSON.stringify(pod.metadata).includes(`"${key}":"${value}"`);
        return reply(200, { items: [...pods.values()].filter(has) });
      }
      if (request.method === "DELETE") return reply(pods.delete(name ?? "") ? 200 : 404, {});
      if (refusal !== null) return reply(refusal.status, { message: refusal.message });
      const pod = JSON.parse(body);
      if (pods.has(pod.metadata.name)) return reply(409, { message: "already exists" });
      pods.set(pod.metadata.name, { ...pod, status: { phase: "Pending" } });
      return reply(201, pod);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ends.push(() => new Promise((resolve) => server.close(resolve)));
    const account = join(folder, "account");
    mkdirSync(account, { recursive: true });
    writeFileSync(join(account, "namespace"), "machines\n");
    writeFileSync(join(account, "token"), "of the account\n");
    url = await run("kubernetes_hook.py", {
      KUBERNETES_API: `http://127.0.0.1:${portOf(server)}`,
      SERVICE_ACCOUNT: account,
      GPU_PRODUCTS: '{"NVIDIA L4": "NVIDIA-L4"}',
    });
  });

  const setStatus = (name: string, status: object) => pods.set(name, { ...pods.get(name), status });

  it("makes a pod that Kubernetes ends at its hard end, shows what becomes of it, and ends it", async () => {
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    const worker = { ...WORKER, registry: "pull-secret", gpuCount: 2 };
    const wanted = [machine(ONE, "running", endsAt)];
    expect(shown(await tell(url, wanted, { operation: "create", machine: ONE, worker }))).toEqual({
      [ONE]: "creating",
    });
    expect(pods.get(ONE)).toMatchObject({
      kind: "Pod",
      metadata: { name: ONE, labels: { "waybill-endpoint": ENDPOINT } },
      spec: {
        restartPolicy: "Never",
        nodeSelector: { "nvidia.com/gpu.product": "NVIDIA-L4" },
        imagePullSecrets: [{ name: "pull-secret" }],
        containers: [
          {
            image: "acme/worker:1.2",
            args: ["--name", "a b"],
            env: [
              { name: "MODEL", value: "small" },
              { name: "KEY", value: '$ID "x"' },
              { name: "RUNPOD_POD_ID", value: "k3v9x0ab12cd" },
            ],
            resources: { limits: { "nvidia.com/gpu": "2" } },
          },
        ],
      },
    });
    const { spec } = pods.get(ONE) as { spec: { activeDeadlineSeconds: number } };
    expect(spec.activeDeadlineSeconds).toBeGreaterThan(3_500);
    expect(spec.activeDeadlineSeconds).toBeLessThanOrEqual(3_600);
    const message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu.";
    setStatus(ONE, { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", message }] });
    expect((await tell(url, wanted)).machines).toMatchObject([{ status: "creating", detail: message }]);
    setStatus(ONE, { phase: "Running" });
    expect(shown(await tell(url, wanted))).toEqual({ [ONE]: "running" });
    setStatus(ONE, { phase: "Failed", message: "Pod was active on the node longer than the specified deadline" });
    expect((await tell(url, wanted)).machines).toMatchObject([
      { status: "failed", detail: expect.stringContaining("deadline") },
    ]);
    expect(shown(await tell(url, [], { operation: "end", machine: ONE, worker: null }))).toEqual({});
    expect(pods.size).toBe(0);
  });

  it("refuses to stop a pod, and what the cluster has not, or does not let it make", async () => {
    const reasonOf = async (wanted: HookMachine) => (await tell(url, [wanted])).refused?.map(({ reason }) => reason);
    expect(await reasonOf(machine(ONE, "stopped"))).toEqual(["bad_config"]);
    expect(await reasonOf({ ...machine(ONE), gpuTypeId: "NVIDIA H200" })).toEqual(["bad_config"]);
    refusal = { status: 403, message: 'pods "x" is forbidden: exceeded quota: gpus' };
    expect(await reasonOf(machine(ONE))).toEqual(["no_capacity"]);
    refusal = { status: 403, message: "the account may not" };
    expect(await reasonOf(machine(ONE))).toEqual(["denied"]);
    refusal = { status: 422, message: "the image has no name" };
    expect(await reasonOf(machine(ONE))).toEqual(["bad_config"]);
    refusal = { status: 503, message: "later" };
    expect(await reasonOf(machine(ONE))).toEqual(["unclear"]);
    expect(pods.size).toBe(0);
  });

  it("leaves the pods of others alone, and gives no list that it could not read", async () => {
    pods.set("mine", { metadata: { name: "mine", labels: {} }, status: { phase: "Running" } });
    expect(shown(await tell(url, []))).toEqual({});
    expect(pods.has("mine")).toBe(true);
    writeFileSync(join(folder, "account", "token"), "of nobody\n");
    expect(await send(url, [])).toMatchObject({
      status: 500,
      body: { detail: expect.stringContaining("cannot be listed") },
    });
  });
});
