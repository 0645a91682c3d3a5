// RunPod's own Python packages, unmodified, as clients of the management plane: 2.0.0rc2 by REST, 1.12 by GraphQL. They are told nothing
// but their two base URLs and a key. What a call gives its user is compared with what the broker itself answers.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as z from "zod";
import { type RunningBroker, startBroker } from "../running/broker.ts";
import { type MockWorker, startMockWorker } from "../running/mock-worker.ts";
import { type Call, type Manager, startManager } from "./python-manager.ts";
import { describePython } from "./python-worker.ts";

type Version = "newest" | "2.0.0rc2";

const object = z.record(z.string(), z.unknown());
const withId = z.looseObject({ id: z.string() });

describePython("RunPod's Python package as a manager", (interpreters) => {
  // A key in the configuration file of whoever runs the tests would go before the one given here.
  const home = mkdtempSync(join(tmpdir(), "waybill-manage-"));
  let broker: RunningBroker;
  let worker: MockWorker;

  beforeAll(async () => {
    worker = await startMockWorker(async (body) => JSON.stringify({ echo: JSON.parse(body.toString()).input }));
    broker = await startBroker({ ready: { url: worker.url, dialect: "http", slots: 2, credential: null } });
  });

  afterAll(async () => {
    rmSync(home, { recursive: true, force: true });
    await broker?.stop();
    await worker?.stop();
  });

  async function withManager<T>(version: Version, key: string, work: (manager: Manager) => Promise<T>): Promise<T> {
    const manager = startManager({ interpreter: interpreters[version], url: broker.url, key, home });
    try {
      return await work(manager);
    } finally {
      await manager.end();
    }
  }

  const run = (version: Version, calls: readonly Call[], key = broker.key) =>
    withManager(version, key, (manager) => manager.outcomes(calls));

  const values = (version: Version, ...calls: readonly Call[]) =>
    withManager(version, broker.key, (manager) => manager.values(...calls));

  /** What the broker answers itself. */
  async function ask(path: string, body?: object): Promise<unknown> {
    const response = await broker.call(path, body === undefined ? undefined : JSON.stringify(body));
    return await response.json();
  }

  async function addUpstream(endpointId: string): Promise<void> {
    const upstream = { url: worker.url, dialect: "http", tier: "a4000", slots: 2 };
    expect(await ask(`/v1/endpoints/${endpointId}/upstreams`, upstream)).toMatchObject({ endpointId });
  }

  it("2.0.0rc2 makes, reads, changes and deletes a template and an endpoint, and runs jobs on it", async () => {
    const [template, other] = await values(
      "2.0.0rc2",
      [
        "create_template",
        {
          name: "two",
          image_name: "my-org/worker:1",
          docker_start_cmd: "python -u handler.py",
          volume_in_gb: 20,
          ports: "8888/http, 22/tcp",
          env: { MODEL: "llama", COUNT: 3 },
          is_serverless: true,
        },
      ],
      ["create_template", { name: "other", image_name: "my-org/worker:2", is_serverless: true }],
    );
    const templateId = withId.parse(template).id;
    expect(template).toEqual(await ask(`/v2/templates/${templateId}`));
    expect(template).toMatchObject({
      disk: 10,
      mounts: { persistent: { size: 20, path: "/workspace" } },
      ports: ["8888/http", "22/tcp"],
      env: { MODEL: "llama", COUNT: "3" },
    });
    const name = `two-${Date.now()}`;
    const [endpoint, byRequests] = await values(
      "2.0.0rc2",
      [
        "create_endpoint",
        { name, template_id: templateId, gpu_ids: "AMPERE_24,-NVIDIA L4", allowed_cuda_versions: "12.4,12.5" },
      ],
      [
        "create_endpoint",
        {
          name: "by requests",
          template_id: templateId,
          scaler_type: "REQUEST_COUNT",
          flashboot: true,
          locations: "OWN",
        },
      ],
    );
    const { id } = withId.parse(endpoint);
    expect(endpoint).toEqual(await ask(`/v2/serverless/${id}`));
    expect(endpoint).toMatchObject({
      name,
      type: "QUEUE",
      image: "my-org/worker:1",
      args: "python -u handler.py",
      env: { MODEL: "llama", COUNT: "3" },
      workers: { min: 0, max: 3, idleTimeout: 5 },
      scaling: { type: "QUEUE_DELAY", queueDelay: 4 },
      gpu: { pools: ["AMPERE_24"], excludedTypes: ["NVIDIA L4"], allowedCudaVersions: ["12.4", "12.5"] },
      flashboot: "OFF",
    });
    expect(byRequests).toMatchObject({
      scaling: { type: "REQUEST_COUNT", requestCount: 4 },
      flashboot: "FLASHBOOT",
      dataCenterIds: ["OWN"],
    });
    await addUpstream(id);
    const jobInput = { n: 1, text: "é" };
    const outcome = await values(
      "2.0.0rc2",
      ["get_endpoints"],
      ["apps", { method: "list_my_endpoints" }],
      ["job", { endpoint: id, job_input: jobInput }],
      ["run_sync", { endpoint: id, job_input: jobInput }],
      ["queue", { name, job_input: jobInput }],
      ["apps", { method: "endpoint_workers", endpoint_id: id }],
      ["update_endpoint_template", { endpoint_id: id, template_id: withId.parse(other).id }],
      ["rest", { method: "PATCH", path: `/v2/serverless/${id}`, body: { workers: { max: 7 } } }],
      ["rest", { method: "GET", path: `/v2/serverless/${id}` }],
    );
    const [listed, byApps, job, sync, queued, workers, updated, patched, read] = outcome;
    expect(z.array(withId).parse(listed)).toContainEqual(endpoint);
    expect(byApps).toEqual(listed);
    expect(job).toMatchObject({ status: "COMPLETED", output: { echo: jobInput } });
    expect(sync).toEqual({ echo: jobInput });
    expect(queued).toMatchObject({ status: "COMPLETED", output: { echo: jobInput } });
    expect(workers).toMatchObject({ summary: { running: 0, idle: 1, total: 1 } });
    expect(updated).toMatchObject({
      id,
      image: "my-org/worker:2",
      env: {},
      gpu: { allowedCudaVersions: ["12.4", "12.5"] },
    });
    expect(patched).toMatchObject({ workers: { max: 7 } });
    expect(read).toEqual(patched);
    expect(read).toEqual(await ask(`/v2/serverless/${id}`));
    const [inUse, deleted, template1, unused, gone] = await run("2.0.0rc2", [
      ["rest", { method: "DELETE", path: `/v2/templates/${withId.parse(other).id}` }],
      ["apps", { method: "delete_endpoint", endpoint_id: id }],
      ["rest", { method: "GET", path: `/v2/templates/${templateId}` }],
      ["rest", { method: "DELETE", path: `/v2/templates/${withId.parse(other).id}` }],
      ["rest", { method: "GET", path: `/v2/serverless/${id}` }],
    ]);
    expect(inUse).toMatchObject({ raised: "QueryError", status: 400, text: expect.stringContaining(id) });
    expect(deleted).toEqual({ value: true });
    expect(template1).toEqual({ value: template });
    expect(unused).toEqual({ value: null });
    expect(gone).toMatchObject({ raised: "QueryError", status: 404, text: expect.stringContaining("endpoint") });
  });

  it("2.0.0rc2 reads the catalogue and who it is, and shows what was wrong", async () => {
    const gpu = "NVIDIA GeForce RTX 4090";
    const outcomes = await run("2.0.0rc2", [
      ["get_gpus"],
      ["get_gpu", { gpu_id: gpu, gpu_quantity: 2 }],
      ["get_gpu", { gpu_id: "NVIDIA NOTHING" }],
      ["apps", { method: "gpu_stock_status", gpu_id: "ADA_24", data_center_id: "OWN" }],
      ["apps", { method: "cpu_stock_status", instance_id: "cpu3c-2-4", data_center_id: "OWN" }],
      ["apps", { method: "network_volume_datacenters" }],
      ["get_user"],
      ["create_endpoint", { name: "x", template_id: "nothing", gpu_ids: "NOPE" }],
      ["create_endpoint", { name: "x", template_id: "nothing", gpu_count: 0 }],
      ["get_pods"],
    ]);
    const [gpus, one, none, stock, cpu, volumes, user, noTemplate, invalid, pods] = outcomes;
    expect(gpus).toEqual({ value: object.parse(await ask("/v2/catalog/gpus")).gpus });
    expect(one).toMatchObject({
      value: { id: gpu, pool: "ADA_24", price: { serverless: 1.116 }, availability: "NONE" },
    });
    expect(none).toMatchObject({ raised: "ValueError" });
    expect(stock).toEqual({ value: "HIGH" });
    expect(cpu).toEqual({ value: "NONE" });
    expect(volumes).toEqual({ value: [] });
    expect(user).toMatchObject({ value: { pubKey: null, networkVolumes: [] } });
    expect(noTemplate).toMatchObject({ raised: "QueryError", status: 404, text: "no template of yours has this id" });
    expect(invalid).toMatchObject({
      status: 422,
      text: "validation failed",
      errors: [expect.stringContaining("$.gpu.count")],
    });
    expect(pods).toMatchObject({ status: 404, text: expect.stringContaining("no such route") });
    const [wrongKey] = await run("2.0.0rc2", [["get_endpoints"]], "wrong");
    expect(wrongKey).toMatchObject({ raised: "AuthenticationError" });
  });

  it("1.12 makes a template and an endpoint by GraphQL, lists and updates them, and runs jobs", async () => {
    const [one, two] = await values(
      "newest",
      [
        "create_template",
        {
          name: "one",
          image_name: "my-org/worker:1",
          docker_start_cmd: 'python -c "print(1)"',
          ports: "8888/http,22/tcp",
          env: { MODEL: "llama" },
          is_serverless: true,
        },
      ],
      ["create_template", { name: "two", image_name: "my-org/worker:2", is_serverless: true }],
    );
    expect(one).toEqual({
      id: expect.any(String),
      name: "one",
      imageName: "my-org/worker:1",
      dockerArgs: 'python -c "print(1)"',
      containerDiskInGb: 10,
      volumeInGb: 0,
      volumeMountPath: null,
      ports: "8888/http,22/tcp",
      env: [{ key: "MODEL", value: "llama" }],
      isServerless: true,
    });
    const [endpoint, byRequests] = await values(
      "newest",
      ["create_endpoint", { name: "by 1.12", template_id: withId.parse(one).id, gpu_ids: "ADA_24", workers_max: 5 }],
      [
        "create_endpoint",
        { name: "by 1.12, too", template_id: withId.parse(one).id, scaler_type: "REQUEST_COUNT", flashboot: true },
      ],
    );
    const { id } = withId.parse(endpoint);
    expect(endpoint).toMatchObject({ gpuIds: "ADA_24", workersMax: 5, idleTimeout: 5, flashBootType: "OFF" });
    expect(byRequests).toMatchObject({ scalerType: "REQUEST_COUNT", scalerValue: 4, flashBootType: "FLASHBOOT" });
    expect(await ask(`/v2/serverless/${id}`)).toMatchObject({
      name: "by 1.12",
      image: "my-org/worker:1",
      args: 'python -c "print(1)"',
      workers: { max: 5 },
    });
    await addUpstream(id);
    const [updated, listed, job] = await values(
      "newest",
      ["update_endpoint_template", { endpoint_id: id, template_id: withId.parse(two).id }],
      ["get_endpoints"],
      ["job", { endpoint: id, job_input: { n: 2 } }],
    );
    expect(updated).toEqual({ id, templateId: withId.parse(two).id });
    expect(z.array(withId).parse(listed)).toContainEqual(
      expect.objectContaining({ id, templateId: withId.parse(two).id, gpuIds: "ADA_24", type: "QB", env: [] }),
    );
    expect(job).toMatchObject({ status: "COMPLETED", output: { echo: { n: 2 } } });
  });

  it("1.12 reads who it is and which GPUs there are, and shows what is not served", async () => {
    const gpu = "NVIDIA GeForce RTX 4090";
    const outcomes = await run("newest", [
      ["get_user"],
      ["get_gpus"],
      ["get_gpu", { gpu_id: gpu }],
      ["get_gpu", { gpu_id: "NVIDIA NOTHING" }],
      ["get_pods"],
      ["create_pod", { name: "p", image_name: "i", gpu_type_id: gpu }],
      ["create_endpoint", { name: "x", template_id: "nothing" }],
      ["create_endpoint", { name: 'a "quoted" name', template_id: "nothing" }],
    ]);
    const [user, gpus, one, none, pods, pod, noTemplate, unreadable] = outcomes;
    expect(user).toMatchObject({ value: { id: expect.any(String), pubKey: null, networkVolumes: [] } });
    expect(gpus).toMatchObject({
      value: expect.arrayContaining([{ id: gpu, displayName: "RTX 4090", memoryInGb: 24 }]),
    });
    expect(one).toMatchObject({ value: { id: gpu, lowestPrice: { minimumBidPrice: null } } });
    expect(none).toMatchObject({ raised: "ValueError", text: expect.stringContaining("No GPU found") });
    for (const refused of [pods, pod]) {
      expect(refused).toMatchObject({
        raised: "QueryError",
        text: expect.stringContaining("workers of your own instead"),
      });
    }
    expect(noTemplate).toMatchObject({ raised: "QueryError", text: expect.stringContaining("no template of yours") });
    expect(unreadable).toMatchObject({ raised: "QueryError", text: expect.any(String) });
    const [wrongKey] = await run("newest", [["get_user"]], "wrong");
    expect(wrongKey).toMatchObject({ raised: "AuthenticationError" });
  });
});
