// The fake of RunPod's pods over HTTP: it takes what RunPod takes, refuses what RunPod refuses, and runs a pod as a process.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type FakeRunpod, startFakeRunpod } from "../support/fake-runpod.ts";

const GPU = "NVIDIA L4";
const POD = {
  name: "wb-1",
  image: "acme/worker:1.2",
  gpu: { id: GPU, count: 1 },
  startSsh: false,
  startJupyter: false,
};
const WAITING = { timeout: 20_000 };

let runpod: FakeRunpod;

beforeEach(async () => {
  const print = "console.log(JSON.stringify(process.env)); process.argv[1] === 'stays' && setInterval(() => 0, 1e3)";
  runpod = await startFakeRunpod({
    apiKey: "rpa_1",
    prices: { [GPU]: 0.44 },
    program: ({ args }) => ({ file: process.execPath, args: ["-e", print, args] }),
  });
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
