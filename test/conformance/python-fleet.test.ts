// RunPod's own client, unmodified, makes an endpoint with an image and a GPU, and RunPod's own worker runs its jobs in pods that come for
// them and go again: each pod is a process with exactly the environment that Waybill has given it. How people see its workers meanwhile
// is what the client reads of the workers route, and of the endpoint's health.
import { afterAll, beforeAll, expect, it, type TestContext, vi } from "vitest";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import type { FakePod } from "../support/fake-pods.ts";
import { API_KEY, GPU, IMAGE, Scene, type SceneOptions } from "./fleet-scene.ts";
import { describePython } from "./python-worker.ts";
import { until, WorkerProcesses } from "./worker-processes.ts";

const ONE_LINE = [{ tier: "l4", rateKind: "flex", amountDollars: expect.stringMatching(/^0\.0/) }];
/** A list is behind, so the record of an ended machine is kept for half a minute after its end, and looked at each five seconds. */
const RECORD_KEPT_MAX_MS = 60_000;

describePython("an endpoint of RunPod's client 2.0.0rc2 with a provider of RunPod's pods", (interpreters) => {
  const workers = new WorkerProcesses();
  let broker: RunningBroker;

  beforeAll(async () => {
    broker = await startBroker({});
  });

  afterAll(() => broker?.stop());

  const start = (test: TestContext, options?: SceneOptions) =>
    Scene.start(test, { broker, interpreters, workers }, options);

  /** What the pod of a machine is to have in its environment: each name, and each value. */
  function environmentOf(scene: Scene, pod: FakePod): Readonly<Record<string, unknown>> {
    const machine = scene.machineOf(pod);
    const base = `${broker.url}/v2/${scene.endpointId}`;
    return {
      ...scene.env,
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/${machine}?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/${machine}/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_STREAM: `${base}/job-stream/${machine}/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/${machine}?gpu=NVIDIA+L4`,
      RUNPOD_PING_INTERVAL: "10000",
      RUNPOD_AI_API_KEY: expect.stringMatching(new RegExp(`^wb_live_${machine}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$`)),
      RUNPOD_ENDPOINT_ID: scene.endpointId,
      RUNPOD_POD_ID: machine,
      WAYBILL_WORKER_ENDS_AT: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    };
  }

  /** Two jobs at once have a pod each, neither of which has a secret of anybody else's. */
  async function runWave(scene: Scene, name: string): Promise<void> {
    const names = [`${name}-1`, `${name}-2`];
    const ids = await Promise.all(names.map((one) => scene.hold(one)));
    await Promise.all(names.map((one) => scene.held(one)));
    await scene.shows("RUNNING", "RUNNING");
    const pods = scene.pods();
    expect(pods).toHaveLength(2);
    for (const pod of pods) {
      const others = pods.filter((other) => other !== pod).map(({ env }) => env.RUNPOD_AI_API_KEY);
      const text = JSON.stringify(pod);
      for (const secret of [API_KEY, scene.key, broker.key, ...others]) expect(text).not.toContain(secret);
    }
    for (const [at, id] of ids.entries()) await scene.finish(id, names[at] ?? "");
  }

  it.concurrent("waits as throttled while there is no pod to be had, and runs its job once there is", async (test) => {
    const scene = await start(test);
    scene.runpod.pods.soldOut.add(GPU);
    const id = await scene.hold("sold-out");
    const [worker] = await scene.shows("THROTTLED");
    expect(worker).toMatchObject({ image: IMAGE, version: 1, gpuTypeId: null, uptimeSeconds: null, startedAt: null });
    expect(await scene.read(`/v2/${scene.endpointId}/status/${id}`)).toMatchObject({
      status: "IN_QUEUE",
      queue: { reason: "NO_CAPACITY", detail: expect.stringContaining("no longer any instances available") },
    });
    scene.runpod.pods.soldOut.clear();
    // RunPod is asked again after a minute.
    await until("there is a pod", () => scene.pods().length === 1, 90_000);
    await scene.held("sold-out");
    await scene.shows("RUNNING");
    await scene.finish(id, "sold-out");
    expect(await scene.bill(id)).toMatchObject(ONE_LINE);
    await scene.emptied();
    await scene.shows();
  });

  it.concurrent("runs a job again in another pod when its pod is killed in the middle of it, and bills it once", async (test) => {
    const scene = await start(test);
    const id = await scene.hold("killed");
    await scene.held("killed");
    workers.unmark("killed", "started");
    const first = scene.machineOf(scene.pod("pod1"));
    scene.runpod.kill("pod1");
    // The lease of the job ends with the third missing heartbeat.
    await scene.showsAs(first, "UNHEALTHY");
    await scene.held("killed");
    expect(scene.pods().map(({ id }) => id)).toEqual(["pod2"]);
    await scene.finish(id, "killed");
    expect(await scene.bill(id)).toMatchObject([{ ...ONE_LINE[0], attempt: 2 }]);
    await scene.emptied();
  });

  it.concurrent.for([
    { version: "newest", setsOwnVariables: false, which: "its pod's variables alone" },
    { version: "2.0.0rc2", setsOwnVariables: true, which: "RunPod's own over them" },
  ] as const)("has pods for jobs, with runpod $version and $which, and none without", async (given, test) => {
    const { version, setsOwnVariables } = given;
    const scene = await start(test, { version, setsOwnVariables, endpoint: { idle_timeout: 8 } });
    const name = `life-${version}`;
    await scene.shows();
    const letCreate = scene.runpod.hold("create");
    const letStart = scene.runpod.hold("start");
    const id = await scene.hold(name);
    const [creating] = await scene.shows("INITIALIZING");
    expect(creating).toMatchObject({ gpuTypeId: GPU, uptimeSeconds: null, startedAt: null });
    letCreate();
    await until("there is a pod", () => scene.pods().length === 1);
    const [starting] = await scene.shows("INITIALIZING");
    expect(scene.runpod.running()).toEqual([]);
    letStart();
    await scene.held(name);
    const [running] = await scene.shows("RUNNING");
    const pod = scene.pod("pod1");
    const machine = scene.machineOf(pod);
    expect([creating?.id, starting?.id]).toEqual([machine, machine]);
    const about = { image: IMAGE, version: 1, isStale: false, gpuCount: 1, gpuTypeId: GPU, dataCenterId: null };
    const up = { uptimeSeconds: expect.any(Number), startedAt: expect.any(String) };
    expect(running).toEqual({ id: machine, status: "RUNNING", ...about, ...up });
    expect(pod).toMatchObject({ image: IMAGE, gpu: { id: GPU, count: 1 }, args: "", disk: 10, registry: null });
    expect(pod.env).toEqual(environmentOf(scene, pod));
    const own = setsOwnVariables ? { RUNPOD_POD_ID: "pod1", RUNPOD_API_KEY: "rpa_of_pod1" } : {};
    const [printed = ""] = scene.runpod.printed("pod1").split("\n");
    expect(JSON.parse(printed)).toEqual(setsOwnVariables ? expect.objectContaining({ ...pod.env, ...own }) : pod.env);
    await scene.finish(id, name);
    await scene.shows("IDLE");
    expect(await scene.read(`/v2/${scene.endpointId}/status/${id}`)).toMatchObject({ workerId: machine });
    expect(await scene.bill(id)).toMatchObject(ONE_LINE);
    await scene.emptied();
    await scene.shows();
    await runWave(scene, name);
    await scene.emptied();
    const looks = { timeout: RECORD_KEPT_MAX_MS, interval: 1_000 };
    await vi.waitFor(() => expect(scene.recorded()).toEqual([]), looks);
    expect([...scene.runpod.pods.made.values()]).toEqual([1, 1, 1]);
  });

  it.concurrent("stops its pod between jobs where FlashBoot is on, and ends it when it is deleted", async (test) => {
    const scene = await start(test, { endpoint: { flashboot: true, idle_timeout: 1 } });
    const first = await scene.hold("flash-1");
    await scene.held("flash-1");
    await scene.finish(first, "flash-1");
    const isStopped = () => scene.pod("pod1").status === "EXITED";
    await until("the pod is stopped", isStopped);
    const shown = async () => {
      const [worker] = await scene.shows("IDLE");
      return worker?.uptimeSeconds === null && worker;
    };
    const stopped = await until("the broker has the answer to its stop", shown);
    expect(stopped).toMatchObject({ id: scene.machineOf(scene.pod("pod1")), startedAt: null });
    expect(scene.runpod.running()).toEqual([]);
    const letStart = scene.runpod.hold("start");
    const second = await scene.hold("flash-2");
    await scene.shows("INITIALIZING");
    letStart();
    await scene.held("flash-2");
    await scene.shows("RUNNING");
    await scene.finish(second, "flash-2");
    expect(await scene.bill(second)).toMatchObject(ONE_LINE);
    await until("the pod is stopped again", isStopped);
    expect([...scene.runpod.pods.made.values()]).toEqual([1]);
    await scene.delete();
    await scene.emptied();
  });

  it.concurrent("shows a worker that fails its start as unhealthy, ends its pod, and runs the job in the next one", async (test) => {
    const modeOf = ({ id }: FakePod) => (id === "pod1" ? "hook fails" : "async");
    const scene = await start(test, { version: "2.0.0rc2", modeOf });
    const id = await scene.hold("unhealthy");
    await until("there is a pod", () => scene.pods().length === 1);
    const failed = scene.machineOf(scene.pod("pod1"));
    const letCreate = scene.runpod.hold("create");
    workers.release(`hook-${failed}`);
    const wait = async () => {
      const status = JSON.stringify(await scene.read(`/v2/${scene.endpointId}/status/${id}`));
      return status.includes("RuntimeError: no GPU") && status;
    };
    expect(await until("those who wait are told", wait)).toContain('"reason":"STARTING"');
    await scene.shows("INITIALIZING", "UNHEALTHY");
    await scene.showsAs(failed, "UNHEALTHY");
    expect(scene.pods()).toEqual([]);
    letCreate();
    await scene.held("unhealthy");
    await scene.finish(id, "unhealthy");
    expect(await scene.bill(id)).toMatchObject(ONE_LINE);
    await scene.emptied();
  });

  it.concurrent("lets a worker that it may not have any more finish its job", async (test) => {
    const scene = await start(test);
    const names = ["drain-1", "drain-2"];
    const ids = await Promise.all(names.map((name) => scene.hold(name)));
    await Promise.all(names.map((name) => scene.held(name)));
    await scene.change({ workers: { max: 1 } });
    const isDraining = async () =>
      JSON.stringify(await scene.read(`/v1/endpoints/${scene.endpointId}/workers`)).includes('"draining":true');
    await until("one of them is drained", isDraining);
    await scene.shows("RUNNING", "RUNNING");
    for (const [at, id] of ids.entries()) await scene.finish(id, names[at] ?? "");
    await scene.emptied();
    expect(scene.runpod.pods.made.size).toBe(2);
  });
});
