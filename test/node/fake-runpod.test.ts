// The fake of RunPod's pods over HTTP: it takes what RunPod takes, refuses what RunPod refuses, and runs a pod as a process.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type FakeRunpod, type FakeRunpodOptions, startFakeRunpod } from "../support/fake-runpod.ts";

const GPU = "NVIDIA L4";
const POD = {
  name: "wb-1",
  image: "acme/worker:1.2",
  gpu: { id: GPU, count: 1 },
  startSsh: false,
  startJupyter: false,
};
const WAITING = { timeout: 20_000 };
/** With the argument `stays` it runs on; with `parts` another process of it does, and it ends a moment later. */
const PROGRAM = `
  console.log(JSON.stringify(process.env));
  const [, mode] = process.argv;
  if (mode === "stays") setInterval(() => 0, 1e3);
  if (mode === "parts") require("node:child_process").spawn("sleep", ["60"], { stdio: "inherit", env: { PATH: "/bin:/usr/bin" } });
  if (mode === "parts") setTimeout(() => process.exit(1), 300);
`;

let runpod: FakeRunpod;

const start = (more: Partial<FakeRunpodOptions> = {}) =>
  startFakeRunpod({
    apiKey: "rpa_1",
    prices: { [GPU]: 0.44 },
    program: ({ args }) => ({ file: process.execPath, args: ["-e", PROGRAM, args] }),
    ...more,
  });

beforeEach(async () => {
  runpod = await start();
});

afterEach(() => runpod.stop());

async function call(method: string, path: string, body?: unknown, key: string | null = "rpa_1") {
  const response = await fetch(`${runpod.url}${path}`, {
    method,
    headers: { ...(key === null ? {} : { authorization: `Bearer ${key}` }), "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: text === "" ? null : JSON.parse(text) };
}

const statusOf = async (id: string) => (await call("GET", `/v2/pods/${id}`)).body.status;

describe("a pod", () => {
  it("is a process with exactly its environment, until it is stopped, and again when it is started", async () => {
    const env = { RUNPOD_POD_ID: "k3v9x0ab12cd", EMPTY: "", QUOTED: `a "b" $ID\n` };
    const made = await call("POST", "/v2/pods", { ...POD, args: "stays", env });
    expect(made).toMatchObject({ status: 201, body: { id: "pod1", status: "RUNNING", cost: 0.44, env } });
    await vi.waitFor(() => expect(runpod.printed("pod1")).toContain("\n"), WAITING);
    expect(JSON.parse(runpod.printed("pod1"))).toEqual(env);
    expect((await call("POST", "/v2/pods/pod1/action", { action: "stop" })).body).toMatchObject({ status: "EXITED" });
    expect((await call("POST", "/v2/pods/pod1/action", { action: "stop" })).status).toBe(409);
    expect((await call("POST", "/v2/pods/pod1/action", { action: "start" })).body).toMatchObject({ status: "RUNNING" });
    await vi.waitFor(() => expect(runpod.printed("pod1").trim().split("\n")).toHaveLength(2), WAITING);
    expect((await call("DELETE", "/v2/pods/pod1")).status).toBe(204);
    expect((await call("DELETE", "/v2/pods/pod1")).status).toBe(404);
    expect((await call("GET", "/v2/pods")).body).toEqual({ pods: [] });
  });

  it("whose process ends by itself has exited", async () => {
    await call("POST", "/v2/pods", POD);
    await vi.waitFor(async () => expect(await statusOf("pod1")).toBe("EXITED"), WAITING);
  });

  it("ends with its main process, whatever else runs in it, and with a kill of that", async () => {
    await call("POST", "/v2/pods", { ...POD, args: "parts" });
    expect(runpod.running()).toEqual(["pod1"]);
    await vi.waitFor(async () => expect(await statusOf("pod1")).toBe("EXITED"), WAITING);
    await vi.waitFor(() => expect(runpod.running()).toEqual([]), WAITING);
    await call("POST", "/v2/pods", { ...POD, args: "stays" });
    runpod.kill("pod2");
    await vi.waitFor(async () => expect(await statusOf("pod2")).toBe("EXITED"), WAITING);
    expect(runpod.running()).toEqual([]);
  });

  it("has RunPod's own variables over its own, where they are asked for", async () => {
    await runpod.stop();
    runpod = await start({ setsOwnVariables: true });
    await call("POST", "/v2/pods", { ...POD, env: { RUNPOD_POD_ID: "k3v9x0ab12cd", OWN: "1" } });
    await vi.waitFor(() => expect(runpod.printed("pod1")).toContain("\n"), WAITING);
    expect(JSON.parse(runpod.printed("pod1"))).toMatchObject({
      RUNPOD_POD_ID: "pod1",
      RUNPOD_GPU_COUNT: "1",
      OWN: "1",
    });
  });

  it("is created, and begins to run, only when it is let", async () => {
    const letStart = runpod.hold("start");
    const letCreate = runpod.hold("create");
    const creating = call("POST", "/v2/pods", { ...POD, args: "stays" });
    expect((await call("GET", "/v2/pods")).body).toEqual({ pods: [] });
    letCreate();
    expect((await creating).body).toMatchObject({ status: "RUNNING" });
    expect(runpod.running()).toEqual([]);
    letStart();
    await vi.waitFor(() => expect(runpod.running()).toEqual(["pod1"]), WAITING);
  });
});

describe("what RunPod refuses", () => {
  it.each([
    ["no key", 401, POD, null],
    ["another key", 401, POD, "rpa_2"],
    ["an unknown field", 422, { ...POD, bogus: 1 }, "rpa_1"],
    ["an unknown field of the GPU", 422, { ...POD, gpu: { ...POD.gpu, pools: [] } }, "rpa_1"],
    ["a missing name", 422, { ...POD, name: undefined }, "rpa_1"],
    ["a count of none", 422, { ...POD, gpu: { id: GPU, count: 0 } }, "rpa_1"],
    ["an environment of numbers", 422, { ...POD, env: { A: 1 } }, "rpa_1"],
    ["no GPU", 400, { ...POD, gpu: undefined }, "rpa_1"],
    ["a GPU that there is not", 400, { ...POD, gpu: { id: "RTX 9", count: 1 } }, "rpa_1"],
    [
      "two kinds of mounts",
      400,
      { ...POD, mounts: { persistent: { size: 10, path: "/a" }, network: [{ volumeId: "v", path: "/b" }] } },
      "rpa_1",
    ],
  ])("for %s is refused with %i, as a problem", async (_what, status, body, key) => {
    const answer = await call("POST", "/v2/pods", body, key);
    expect(answer).toMatchObject({ status, body: { status, title: expect.any(String), detail: expect.any(String) } });
    expect(runpod.pods.pods.size).toBe(0);
  });

  it("for lack of machines and of money is told by its own words and status", async () => {
    runpod.pods.soldOut.add(GPU);
    expect(await call("POST", "/v2/pods", POD)).toMatchObject({
      status: 400,
      body: { detail: expect.stringContaining("no longer any instances available") },
    });
    runpod.pods.balance = 0;
    expect((await call("POST", "/v2/pods", POD)).status).toBe(402);
  });
});
