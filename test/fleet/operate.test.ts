// A broker's call to a provider: what is read and opened for it, what its machines are given, and that no secret comes back.
import { env, exports } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Config, readConfig } from "../../src/config.ts";
import type { FleetOperatorApi, ProviderCall, StoredProvider } from "../../src/contract/fleet.ts";
import { type Fleet, fleetSchema } from "../../src/contract/manage/fleet.ts";
import { envPlace, providerPlace } from "../../src/core/access/sealing.ts";
import { runAll, statement } from "../../src/db/statement.ts";
import { operate } from "../../src/fleet/operate.ts";
import { seal } from "../../src/outbound/credentials.ts";
import { instanceOfKey } from "../../src/outbound/fleet-key.ts";
import { sealEnv } from "../../src/outbound/sealed-env.ts";
import { breakD1 } from "../support/d1.ts";
import { FakeHook } from "../support/fake-hook.ts";
import { FakePods } from "../support/fake-pods.ts";
import { API_KEY, ENDS_AT_MS, GPU, HOOK_SECRET, machineOf } from "../support/provided.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";
import { makeTenant } from "../support/tenant.ts";
import { reachVendor } from "../support/vendor-faults.ts";

const ID = "k3v9x0ab12cd";
const OWN = { MODEL: "small", HF_TOKEN: "hf_thisIsASecretOfTheTenant", RUNPOD_AI_API_KEY: "not the worker's" };
const FLEET: Fleet = fleetSchema.parse({
  image: "acme/worker:1.2",
  gpu: { pools: ["AMPERE_24"], count: 2, allowedCudaVersions: [], minCudaVersion: null },
});

let config: Config;
let lines: string[];

beforeEach(() => {
  config = { ...readConfig(env), publicUrl: "https://waybill.example.org", reach: PUBLIC_ONLY };
  lines = [];
  vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface SceneOptions {
  readonly provider?: Partial<Omit<StoredProvider, "sealedCredential">>;
  /** Opened; null: there is none. */
  readonly credential?: string | null;
  readonly fleet?: Fleet;
  readonly own?: Record<string, string>;
  readonly kind?: "queue" | "load_balancer";
}

/** A tenant with an endpoint and a provider, RunPod's unless another one is named. */
async function scene({
  provider = {},
  credential = API_KEY,
  fleet = FLEET,
  own = OWN,
  kind = "queue",
}: SceneOptions = {}) {
  const { tenantId, endpointId } = await makeTenant({ kind });
  const providerId = `prov-${crypto.randomUUID()}`;
  const row = { tenantId, name: "mine", kind: "runpod", url: null, offers: [], ...provider };
  const sealed = credential === null ? null : await seal(credential, env.ENCRYPTION_KEY, providerPlace(providerId));
  await runAll(env.DB, [
    statement(
      "INSERT INTO providers (id, tenant_id, name, kind, url, sealed_credential, offers, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, 1)",
      ...[providerId, row.tenantId, row.name, row.kind, row.url, sealed, JSON.stringify(row.offers)],
    ),
    statement(
      "UPDATE endpoints SET fleet = ?, sealed_env = ? WHERE id = ?",
      ...[JSON.stringify(fleet), await sealEnv(own, env.ENCRYPTION_KEY, envPlace(endpointId)), endpointId],
    ),
  ]);
  const ask = (operation: ProviderCall["operation"], change: Partial<ProviderCall> = {}, withConfig = config) => {
    const machine = operation === "list" ? null : machineOf(ID, operation === "create" ? null : "pod1");
    const machines =
      operation === "create" || operation === "start" ? [{ ...machineOf(ID), state: "running" as const }] : [];
    const desired = { number: 1, machines };
    const call = { endpointId, providerId, operation, machine, desired, ...change };
    return operate(call, { db: env.DB, config: withConfig, now: Date.now });
  };
  return { tenantId, endpointId, providerId, ask };
}

function runpod() {
  const pods = new FakePods({ apiKey: API_KEY, prices: { [GPU]: 0.44 } });
  const calls = reachVendor(pods);
  return { pods, calls, pod: () => [...pods.pods.values()][0] };
}

describe("a machine that is created", () => {
  it("has the environment of its endpoint, and over it what its worker needs to fetch jobs, by a key of its own", async () => {
    const { pod } = runpod();
    const { ask, endpointId } = await scene();
    expect(await ask("create")).toMatchObject({ kind: "done", instance: { ref: "pod1", status: "running" } });
    const key = pod()?.env.RUNPOD_AI_API_KEY ?? "";
    expect(await instanceOfKey(env.PEPPER, endpointId, key)).toBe(ID);
    const base = `https://waybill.example.org/v2/${endpointId}`;
    expect(pod()?.env).toEqual({
      MODEL: "small",
      HF_TOKEN: "hf_thisIsASecretOfTheTenant",
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/${ID}?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/${ID}/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_STREAM: `${base}/job-stream/${ID}/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/${ID}?gpu=NVIDIA+L4`,
      RUNPOD_PING_INTERVAL: "10000",
      RUNPOD_AI_API_KEY: key,
      RUNPOD_ENDPOINT_ID: endpointId,
      RUNPOD_POD_ID: ID,
      WAYBILL_WORKER_ENDS_AT: new Date(ENDS_AT_MS).toISOString(),
    });
    expect(pod()).toMatchObject({ image: "acme/worker:1.2", gpu: { id: GPU, count: 2 } });
  });

  it("and is called by the load balancer gets a port in place of addresses, and no key", async () => {
    const { pod } = runpod();
    const { ask, endpointId } = await scene({ kind: "load_balancer", own: { MODEL: "small" } });
    const url = "https://pod1-80.proxy.runpod.net";
    expect(await ask("create", {}, { ...config, publicUrl: null })).toMatchObject({ kind: "done", instance: { url } });
    expect(pod()?.env).toEqual({
      MODEL: "small",
      PORT: "80",
      PORT_HEALTH: "80",
      HEALTH_CHECK_PATH: "/ping",
      RUNPOD_ENDPOINT_ID: endpointId,
      RUNPOD_POD_ID: ID,
      WAYBILL_WORKER_ENDS_AT: new Date(ENDS_AT_MS).toISOString(),
    });
  });

  it.each(["0", "80a", "70000", ""])("for the load balancer is not made where PORT is %j", async (PORT) => {
    runpod();
    const { ask } = await scene({ kind: "load_balancer", own: { PORT } });
    expect(await ask("create")).toMatchObject({
      kind: "bad_config",
      detail: expect.stringContaining("PORT in the endpoint's env"),
    });
  });
});

describe("an endpoint of which no machine can be made", () => {
  it("has a variable by which RunPod would read a secret of the operator's account", async () => {
    const { calls } = runpod();
    const { ask, providerId } = await scene({ own: { SAFE: "1", X: "a{{ RUNPOD_SECRET_hf_token }}" } });
    const refused = await ask("create");
    expect(refused).toMatchObject({ kind: "bad_config", detail: expect.stringMatching(/^X in the endpoint's env /) });
    expect(JSON.stringify(refused)).not.toContain("hf_token");
    expect(calls.seen).toEqual([]);
    expect(await ask("list")).toMatchObject({ kind: "listed" });
    await runAll(env.DB, [statement("UPDATE providers SET priced_by_operator = 0 WHERE id = ?", providerId)]);
    expect(await ask("create")).toMatchObject({ kind: "done" });
  });

  it.each<[string, SceneOptions, Partial<Config>, string]>([
    ["that has no image", { fleet: fleetSchema.parse({}) }, {}, "The endpoint has no image"],
    ["of a deployment that does not say its address", {}, { publicUrl: null }, "PUBLIC_URL is not set"],
    ["of a deployment at http:", {}, { publicUrl: "http://waybill.example.org" }, "PUBLIC_URL must be an https: URL"],
  ])("%s says so, and its machines are listed and ended all the same", async (_what, options, change, words) => {
    const { pods, calls } = runpod();
    const { ask } = await scene(options);
    const withConfig = { ...config, ...change };
    expect(await ask("create", {}, withConfig)).toMatchObject({
      kind: "bad_config",
      detail: expect.stringContaining(words),
    });
    expect(calls.seen).toEqual([]);
    expect(await ask("list", {}, withConfig)).toEqual({ kind: "listed", instances: [] });
    expect(await ask("end", {}, withConfig)).toEqual({ kind: "gone" });
    expect(pods.made.size).toBe(0);
  });

  it("that is deleted, too", async () => {
    runpod();
    const { ask, endpointId } = await scene();
    await ask("create");
    await runAll(env.DB, [statement("UPDATE endpoints SET deleted_at = 1 WHERE id = ?", endpointId)]);
    expect(await ask("create")).toEqual({ kind: "bad_config", detail: "The endpoint is deleted." });
    expect(await ask("list")).toMatchObject({ kind: "listed", instances: [{ ref: "pod1" }] });
    expect(await ask("end")).toMatchObject({ kind: "done" });
    expect(await ask("list")).toEqual({ kind: "listed", instances: [] });
  });

  it("whose environment is sealed for another one says so, without it", async () => {
    runpod();
    const { ask, endpointId } = await scene();
    const foreign = await sealEnv(OWN, env.ENCRYPTION_KEY, envPlace("another"));
    await runAll(env.DB, [statement("UPDATE endpoints SET sealed_env = ? WHERE id = ?", foreign, endpointId)]);
    const detail = expect.stringContaining("The endpoint's env cannot be opened");
    expect(await ask("create")).toMatchObject({ kind: "bad_config", detail });
  });
});

describe("a provider", () => {
  it("of the kind none tells what it would make, for which price, and makes nothing", async () => {
    const fetched = vi.spyOn(globalThis, "fetch");
    const offers = [{ gpuTypeId: GPU, priceNanodollarsPerHour: 440_000_000 }];
    const { ask } = await scene({ provider: { kind: "none", offers }, credential: null });
    expect(await ask("create")).toEqual({
      kind: "no_capacity",
      detail:
        "This provider makes nothing. It would have made a machine with 2 × NVIDIA L4 for $0.44 an hour, until " +
        "2099-01-31T12:00:00.000Z at the latest, and started acme/worker:1.2 on it.",
    });
    expect(await ask("list")).toEqual({ kind: "listed", instances: [] });
    for (const operation of ["start", "stop", "end"] as const) expect(await ask(operation)).toEqual({ kind: "gone" });
    expect(fetched).not.toHaveBeenCalled();
  });

  it("that is a hook gets the machines with their environments, by its own secret", async () => {
    const hook = new FakeHook(HOOK_SECRET);
    reachVendor(hook);
    const url = "https://hooks.example.org/fleet";
    const { ask, endpointId } = await scene({ provider: { kind: "webhook", url }, credential: HOOK_SECRET });
    expect(await ask("create")).toMatchObject({ kind: "done", instance: { ref: "m1" } });
    const [taken] = hook.taken;
    expect(taken?.worker?.env).toEqual(OWN);
    const key = taken?.machines[0]?.env.RUNPOD_AI_API_KEY ?? "";
    expect(await instanceOfKey(env.PEPPER, endpointId, key)).toBe(ID);
  });

  it("on this machine alone is called only where private addresses are allowed", async () => {
    reachVendor(new FakeHook(HOOK_SECRET));
    const url = "http://127.0.0.1:8790/";
    const { ask } = await scene({ provider: { kind: "local", url }, credential: HOOK_SECRET });
    expect(await ask("create")).toEqual({
      kind: "unreachable",
      detail: "The hook's address must be an absolute https: URL.",
    });
    const reach = { ...PUBLIC_ONLY, allowPrivate: true };
    expect(await ask("create", {}, { ...config, reach })).toMatchObject({ kind: "done" });
  });

  it.each<[string, SceneOptions, string]>([
    ["RunPod without a key", { credential: null }, "set an API key of RunPod"],
    ["a hook without an address", { provider: { kind: "webhook" } }, "set the address of its hook"],
    [
      "a hook without a secret",
      { provider: { kind: "webhook", url: "https://hooks.example.org/" }, credential: null },
      "set the secret that signs",
    ],
  ])("that is %s is denied, and says what to set", async (_what, options, words) => {
    const { calls } = runpod();
    const { ask } = await scene(options);
    expect(await ask("list")).toMatchObject({ kind: "denied", detail: expect.stringContaining(words) });
    expect(calls.seen).toEqual([]);
  });

  it("that is forgotten has no machine any more, so that records of such ones end", async () => {
    const { ask } = await scene();
    expect(await ask("list", { providerId: "forgotten" })).toEqual({ kind: "listed", instances: [] });
    expect(await ask("end", { providerId: "forgotten" })).toEqual({ kind: "gone" });
    expect(await ask("stop", { providerId: "forgotten" })).toEqual({ kind: "gone" });
    expect(await ask("start", { providerId: "forgotten" })).toMatchObject({ kind: "denied" });
  });

  it("that is not there, or is another tenant's, is denied", async () => {
    const { calls } = runpod();
    const one = await scene();
    const other = await scene();
    expect(await one.ask("create", { providerId: "unknown" })).toMatchObject({ kind: "denied" });
    expect(await one.ask("create", { providerId: other.providerId })).toMatchObject({ kind: "denied" });
    expect(calls.seen).toEqual([]);
  });

  it("whose credential was sealed for another one is denied, without it", async () => {
    runpod();
    const { ask, providerId } = await scene();
    const foreign = await seal(API_KEY, env.ENCRYPTION_KEY, providerPlace("another"));
    await runAll(env.DB, [statement("UPDATE providers SET sealed_credential = ? WHERE id = ?", foreign, providerId)]);
    const detail = expect.stringContaining("The provider's credential cannot be used");
    expect(await ask("list")).toMatchObject({ kind: "denied", detail });
  });

  it("keeps its secrets, those of the endpoint and the keys of its workers out of answers and logs", async () => {
    const { calls } = runpod();
    const { ask } = await scene();
    await ask("create");
    const sent = JSON.parse(calls.seen[0]?.body ?? "");
    const key = sent.env.RUNPOD_AI_API_KEY;
    const echo = (status: number) =>
      calls.meet({ kind: "status", status, body: JSON.stringify({ detail: `${API_KEY} ${key} ${OWN.HF_TOKEN}` }) });
    for (const operation of ["create", "list", "stop", "end"] as const) {
      echo(422);
      const answer = await ask(operation);
      expect(answer).toMatchObject({ kind: "bad_config", detail: expect.stringContaining("****") });
      for (const secret of [API_KEY, key, OWN.HF_TOKEN]) expect(JSON.stringify(answer)).not.toContain(secret);
    }
    expect(lines.filter((line) => line.includes("provider_refused"))).toHaveLength(4);
    for (const secret of [API_KEY, key, OWN.HF_TOKEN]) expect(lines.join("\n")).not.toContain(secret);
  });

  it("that shows a machine's last words shows none of those", async () => {
    const hook = new FakeHook(HOOK_SECRET);
    reachVendor(hook);
    const url = "https://hooks.example.org/fleet";
    const { ask } = await scene({ provider: { kind: "webhook", url }, credential: HOOK_SECRET });
    await ask("create");
    const key = hook.taken[0]?.machines[0]?.env.RUNPOD_AI_API_KEY ?? "";
    for (const machine of hook.machines.values()) machine.detail = `403 for ${OWN.HF_TOKEN}, and ${key}`;
    const answer = await ask("start", { desired: { number: 2, machines: [{ ...machineOf(ID), state: "running" }] } });
    expect(answer).toMatchObject({ instance: { detail: expect.stringMatching(/^403 for \*+, and \*+$/) } });
  });
});

describe("a call", () => {
  it("while D1 is away is unreachable, and nothing is sent", async () => {
    const { calls } = runpod();
    const { ask } = await scene();
    const broken = breakD1();
    expect(await ask("create")).toMatchObject({ kind: "unreachable" });
    broken.heal();
    expect(calls.seen).toEqual([]);
    expect(await ask("create")).toMatchObject({ kind: "done" });
  });

  it("ends within 30 s where D1 does not answer, and where the vendor does not", async () => {
    const { calls } = runpod();
    const { ask } = await scene();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const prepare = vi.spyOn(Object.getPrototypeOf(env.DB), "prepare").mockReturnValue({
      bind: () => ({ first: () => new Promise(() => undefined) }),
    });
    const hanging = ask("create");
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await Promise.race([hanging, "still open"])).toMatchObject({ kind: "unreachable" });
    prepare.mockRestore();
    calls.meet({ kind: "silent", isDone: true });
    const silent = ask("create");
    await vi.waitFor(() => expect(calls.seen).toHaveLength(1));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await Promise.race([silent, "still open"])).toMatchObject({ kind: "unclear" });
  });

  it("comes by the entrypoint as a broker makes it", async () => {
    const { endpointId, providerId } = await scene({ provider: { kind: "none" }, credential: null });
    // The exports of the Worker are typed by itself; a broker has the operator by its contract.
    const { FleetOperator } = exports as unknown as { readonly FleetOperator: FleetOperatorApi };
    const call = {
      endpointId,
      providerId,
      operation: "list",
      machine: null,
      desired: { number: 1, machines: [] },
    } as const;
    expect(await FleetOperator.operate(call)).toEqual({ kind: "listed", instances: [] });
  });
});
