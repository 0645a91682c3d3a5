// RunPod's pods: what is asked for, what its refusals mean, and what is read of a pod. What all drivers share is in drivers.test.ts.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { readPod } from "../../src/fleet/runpod-pod.ts";
import type { FakePods } from "../support/fake-pods.ts";
import { API_KEY, machineOf, PLAN, Provided, WORKER } from "../support/provided.ts";

const ID = "k3v9x0ab12cd";
const NAME = `wb-0123456789abcdef-${ID}`;
const NONE_LEFT =
  "There are no longer any instances available with the requested specifications. Please refresh and try again.";

let provided: Provided;
let pods: FakePods;

beforeEach(() => {
  provided = new Provided("runpod");
  if (provided.pods === null) throw new Error("there are no pods");
  pods = provided.pods;
});

afterEach(() => vi.restoreAllMocks());

const refuse = (status: number, detail: string, more: object = {}) =>
  provided.calls.meet({ kind: "status", status, body: JSON.stringify({ title: "Error", status, detail, ...more }) });

const bodyOf = (at: number): unknown => JSON.parse(provided.calls.seen.at(at)?.body ?? "null");

describe("a pod is asked for", () => {
  it("with all that the endpoint's workers are made of, by the key in a header, with its own variables over the endpoint's", async () => {
    expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "done" });
    const [call] = provided.calls.seen;
    expect(call).toMatchObject({ method: "POST", path: "/v2/pods" });
    expect(call?.headers.get("authorization")).toBe(`Bearer ${API_KEY}`);
    expect(bodyOf(0)).toEqual({
      name: NAME,
      image: "acme/worker:1.2",
      gpu: { id: "NVIDIA L4", count: 1, minCudaVersion: "12.4" },
      args: "--fast",
      disk: 20,
      ports: ["8000/http"],
      env: { MODEL: "small", TOKEN: "of the machine", RUNPOD_POD_ID: ID },
      registry: "reg-1",
      dataCenterIds: ["EU-RO-1"],
      mounts: { network: [{ volumeId: "vol-1", path: "/runpod-volume" }] },
      startSsh: false,
      startJupyter: false,
    });
  });

  it("without what the endpoint does not say, but always with the number of its GPUs", async () => {
    const nothing = {
      ...{
        args: null,
        disk: null,
        ports: [],
        registry: null,
        minCudaVersion: null,
        dataCenterIds: [],
        networkVolumes: [],
      },
      ...{ allowedCudaVersions: ["12.8", "13.0"], gpuCount: 2, env: {} },
    };
    const plan = { ...PLAN, worker: { ...WORKER, ...nothing } };
    expect(await provided.ask("create", machineOf(ID), { plan })).toMatchObject({ kind: "done" });
    expect(bodyOf(0)).toEqual({
      name: NAME,
      image: "acme/worker:1.2",
      gpu: { id: "NVIDIA L4", count: 2, allowedCudaVersions: ["12.8", "13.0"] },
      env: { TOKEN: "of the machine", RUNPOD_POD_ID: ID },
      startSsh: false,
      startJupyter: false,
    });
  });

  it("with the open port of a load-balanced worker, and is called by RunPod's proxy", async () => {
    const created = await provided.ask("create", machineOf(ID), { httpPort: 80 });
    expect(bodyOf(0)).toMatchObject({ ports: ["8000/http", "80/http"] });
    const url = "https://pod1-80.proxy.runpod.net";
    expect(created).toMatchObject({ kind: "done", instance: { ref: "pod1", url } });
    expect(await provided.ask("list", null, { httpPort: 80 })).toMatchObject({ instances: [{ ref: "pod1", url }] });
    await provided.ask("create", machineOf("a1b2c3d4e5f6"), { httpPort: 8000 });
    expect(bodyOf(-1)).toMatchObject({ ports: ["8000/http"] });
  });

  it("and is called at the port that it was made with, whatever its endpoint has by now", async () => {
    const plan = { ...PLAN, worker: { ...WORKER, env: { PORT: "80" } } };
    await provided.ask("create", machineOf(ID), { plan, httpPort: 80 });
    const url = "https://pod1-80.proxy.runpod.net";
    expect(await provided.ask("list", null, { httpPort: 8000 })).toMatchObject({ instances: [{ url }] });
    for (const operation of ["stop", "start"] as const)
      expect(await provided.ask(operation, machineOf(ID, "pod1"), { httpPort: 8000 })).toMatchObject({
        instance: { url },
      });
  });

  it.each([[undefined], [null], [[]], [{}], [{ PORT: "many" }], [{ PORT: 80 }]])(
    "and is called at the port of its endpoint where its variables are shown as %j",
    (shown) => {
      const pod = { id: "pod1", name: NAME, status: "RUNNING", env: shown };
      expect(readPod(pod, 8000)?.url).toBe("https://pod1-8000.proxy.runpod.net");
    },
  );
});

describe("a refusal of RunPod's", () => {
  it.each([
    [400, NONE_LEFT],
    [400, "This machine does not have the resources to deploy your pod. Please try a different machine"],
    [500, "create pod: This machine does not have the resources to deploy your pod. Please try a different machine"],
    [400, "Insufficient capacity in EU-RO-1"],
    [400, "no available machine"],
    [400, "NVIDIA L4 is out of stock"],
  ])("with %i and “%s” is a lack of capacity: the next candidate may do", async (status, detail) => {
    refuse(status, detail);
    expect(await provided.ask("create", machineOf(ID))).toEqual({
      kind: "no_capacity",
      detail: expect.stringContaining(`RunPod answered ${status}: ${detail}`),
    });
  });

  it.each([
    ["create", 400, "mounts.persistent and mounts.network exclude each other", "bad_config"],
    ["create", 404, "registry not found", "bad_config"],
    ["create", 422, "Request validation failed.", "bad_config"],
    ["create", 405, "method not allowed", "bad_config"],
    ["create", 408, "timeout", "unclear"],
    ["create", 503, "try later", "unclear"],
    ["list", 404, "not found", "unreachable"],
    ["list", 400, NONE_LEFT, "bad_config"],
    ["end", 409, "the pod is locked", "bad_config"],
    ["end", 500, NONE_LEFT, "unclear"],
  ] as const)("of a %s with %i and “%s” is %s", async (operation, status, detail, kind) => {
    refuse(status, detail);
    expect(await provided.ask(operation, operation === "list" ? null : machineOf(ID, "pod1"))).toMatchObject({ kind });
  });

  it("names every field that is wrong", async () => {
    const plan = { ...PLAN, worker: { ...WORKER, disk: -1, ports: [""] } };
    expect(await provided.ask("create", machineOf(ID), { plan })).toEqual({
      kind: "bad_config",
      detail: "RunPod answered 422: Request validation failed. $.disk: has a wrong value $.ports: has a wrong value.",
    });
  });

  it("of a GPU that the host of a stopped pod has given away is a lack of capacity", async () => {
    await provided.ask("create", machineOf(ID));
    await provided.ask("stop", machineOf(ID, "pod1"));
    pods.soldOut.add("NVIDIA L4");
    expect(await provided.ask("start", machineOf(ID, "pod1"))).toEqual({
      kind: "no_capacity",
      detail: "RunPod answered 400: There are not enough free GPUs on the host machine to start this pod.",
    });
  });

  it("for the balance and for the key's rights are those of the fake that follows its documents", async () => {
    pods.balance = 0.1;
    expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "unpaid" });
    pods.isReadOnly = true;
    expect(await provided.ask("create", machineOf(ID))).toMatchObject({ kind: "denied" });
    expect(await provided.listed()).toEqual([]);
  });
});

describe("a pod whose state does not allow what is asked for", () => {
  it("that has failed cannot be stopped, nor started", async () => {
    await provided.ask("create", machineOf(ID));
    pods.exit("pod1", "ERROR");
    expect(await provided.ask("stop", machineOf(ID, "pod1"))).toMatchObject({ kind: "bad_config" });
    expect(await provided.ask("start", machineOf(ID, "pod1"))).toMatchObject({ kind: "bad_config" });
    expect(await provided.listed()).toMatchObject([
      { status: "failed", detail: "RunPod shows the pod with the status ERROR." },
    ]);
  });

  it.each([
    ["that begins is stopped later", "stop", { id: "pod1", name: NAME, status: "PROVISIONING" }, "unclear"],
    ["that is terminated is gone", "start", { id: "pod1", name: NAME, status: "TERMINATED" }, "gone"],
    ["that is starting is as it should be", "start", { id: "pod1", name: NAME, status: "STARTING" }, "done"],
    ["of which nothing is to be learned may be as it should be", "start", { id: 7 }, "unclear"],
  ] as const)("%s", async (_what, operation, pod, kind) => {
    refuse(409, "its status does not permit it");
    provided.calls.meet({ kind: "status", status: 200, body: JSON.stringify(pod) });
    expect(await provided.ask(operation, machineOf(ID, "pod1"))).toMatchObject({ kind });
  });

  it("and that is gone by then is gone", async () => {
    refuse(409, "its status does not permit it");
    expect(await provided.ask("stop", machineOf(ID, "pod1"))).toEqual({ kind: "gone" });
  });

  it("that is locked is not ended, and is there", async () => {
    await provided.ask("create", machineOf(ID));
    for (const pod of pods.pods.values()) pod.isLocked = true;
    expect(await provided.ask("end", machineOf(ID, "pod1"))).toEqual({
      kind: "bad_config",
      detail: "RunPod answered 409: the pod is locked.",
    });
    expect(await provided.listed()).toHaveLength(1);
  });
});

describe("the list of pods", () => {
  it.each([
    ["PROVISIONING", "creating"],
    ["STARTING", "creating"],
    ["RUNNING", "running"],
    ["EXITED", "stopped"],
    ["ERROR", "failed"],
    ["TERMINATED", "ended"],
    ["HIBERNATING", "running"],
  ])("shows one that is %s as %s", async (status, meaning) => {
    provided.calls.meet({
      kind: "status",
      status: 200,
      body: JSON.stringify({ pods: [{ id: "p", name: NAME, status, cost: 0.44 }] }),
    });
    expect(await provided.ask("list")).toMatchObject({ instances: [{ status: meaning }] });
  });

  it("is read to its last page, should it have several", async () => {
    const page = (id: string, pagination: object) => ({
      kind: "status" as const,
      status: 200,
      body: JSON.stringify({ pods: [{ id, name: `${NAME.slice(0, -1)}${id}`, status: "RUNNING" }], pagination }),
    });
    provided.calls.meet(page("1", { hasNextPage: true, nextCursor: "a b" }), page("2", { hasNextPage: false }));
    expect(await provided.ask("list")).toMatchObject({ kind: "listed", instances: [{ ref: "1" }, { ref: "2" }] });
    expect(provided.calls.seen.map(({ path }) => path)).toEqual(["/v2/pods", "/v2/pods?cursor=a%20b"]);
    provided.calls.meet(page("1", { hasNextPage: true }));
    expect(await provided.ask("list")).toMatchObject({ kind: "unclear" });
    provided.calls.meet(...Array.from({ length: 20 }, () => page("1", { hasNextPage: true, nextCursor: "on" })));
    expect(await provided.ask("list")).toMatchObject({ kind: "unclear" });
  });
});

it("a key that no header may hold is refused here, and is in no answer", async () => {
  const credential = "rpa_first line\nsecond line";
  const answer = await provided.ask("create", machineOf(ID), { credential });
  expect(answer).toMatchObject({ kind: "denied" });
  expect(JSON.stringify(answer)).not.toContain("first line");
  expect(provided.calls.seen).toEqual([]);
});

it("a key that RunPod repeats is blanked", async () => {
  refuse(401, `the key ${API_KEY} is not known`);
  expect(await provided.ask("list")).toEqual({
    kind: "denied",
    detail: `RunPod answered 401: the key ${"*".repeat(API_KEY.length)} is not known.`,
  });
});
