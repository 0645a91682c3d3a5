// /v2/catalog as RunPod's clients ask it.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { GPU_POOLS } from "../../../src/core/manage/gpu-pools.ts";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

async function asker() {
  const { key } = await makeTenant({ scopes: ["jobs"] });
  return (path: string) => manage(key, "GET", `/v2/catalog/${path}`);
}

const STOCK = "include=AVAILABILITY&product";

describe("the catalogue", () => {
  it("lists every GPU type of the pools with the price of its tier by the hour", async () => {
    const ask = await asker();
    const { body } = await ask("gpus");
    const ids = body.gpus.map(({ id }: { id: string }) => id);
    expect(ids).toEqual(GPU_POOLS.flatMap(({ types }) => types));
    expect(body.gpus.find(({ id }: { id: string }) => id === "NVIDIA GeForce RTX 4090")).toEqual({
      id: "NVIDIA GeForce RTX 4090",
      name: "RTX 4090",
      pool: "ADA_24",
      manufacturer: "NVIDIA",
      memory: 24,
      secure: false,
      community: false,
      price: { secure: 0, community: 0, serverless: 1.116 },
      maxCount: { secure: 0, community: 0 },
    });
    const unpriced = body.gpus.find(({ id }: { id: string }) => id === "NVIDIA GeForce RTX 5090");
    expect(unpriced.price).toEqual({ secure: 0, community: 0 });
  });

  it("shows the price that holds now, not one that is announced", async () => {
    const ask = await asker();
    const add = env.DB.prepare(
      "INSERT INTO gpu_rates (tier, kind, effective_from, nanodollars_per_second) VALUES (?, ?, ?, ?)",
    );
    await add.bind("b200", "flex", Date.now() - 1_000, 3_000_000).run();
    await add.bind("b200", "flex", Date.now() + 60_000, 9_000_000).run();
    expect((await ask("gpus/BLACKWELL_180")).body.price.serverless).toBe(10.8);
    await env.DB.prepare("DELETE FROM gpu_rates WHERE tier = 'b200' AND effective_from > 0").run();
  });

  it("finds a GPU by the id of its type, with its spaces escaped, or of a pool", async () => {
    const ask = await asker();
    const { body } = await ask("gpus/NVIDIA%20GeForce%20RTX%204090");
    expect(body.id).toBe("NVIDIA GeForce RTX 4090");
    expect((await ask(`gpus/ADA_24?${STOCK}=SERVERLESS&count=1&cloud=SECURE`)).body).toMatchObject({
      pool: "ADA_24",
      availability: "HIGH",
      dataCenters: [{ id: "OWN", availability: "HIGH" }],
    });
    const unknown = await ask("gpus/NVIDIA%20NOTHING");
    expect(unknown).toMatchObject({ status: 404, body: { detail: expect.stringContaining("catalogue") } });
  });

  it("has nothing for pods, nor in a country", async () => {
    const ask = await asker();
    const forPods = (await ask(`gpus/ADA_24?${STOCK}=POD&count=1`)).body;
    expect(forPods.availability).toBe("NONE");
    expect(forPods.dataCenters).toBeUndefined();
    expect((await ask(`gpus?${STOCK}=POD%2CSERVERLESS`)).body.gpus[0].availability).toBe("HIGH");
    expect((await ask(`gpus?${STOCK}=SERVERLESS&countryCodes=FR,DE`)).body.gpus).toEqual([]);
    expect((await ask(`gpus/ADA_24?${STOCK}=SERVERLESS&countryCodes=FR`)).body.availability).toBe("NONE");
  });

  it("takes availability and product together alone, and filters of it with them alone", async () => {
    const ask = await asker();
    const cases = [
      ["gpus?include=AVAILABILITY", "product"],
      ["gpus?product=POD", "product"],
      ["gpus?count=2", "count"],
      ["gpus?cloud=SECURE", "cloud"],
      ["gpus?countryCodes=FR", "countryCodes"],
      [`gpus?${STOCK}=POD&cudaVersions=12.8&minCudaVersion=12`, "minCudaVersion"],
      ["cpus?include=AVAILABILITY", "product"],
      ["cpus/cpu3c?vcpuCount=2", "vcpuCount"],
    ] as const;
    for (const [path, name] of cases) {
      const { status, body } = await ask(path);
      expect(status, path).toBe(400);
      expect(body.detail).toContain(`?${name}`);
    }
    for (const path of ["gpus?include=PRICE", `gpus?${STOCK}=HOUSE`, `cpus?${STOCK}=CLUSTER`, "gpus?bogus=1"]) {
      expect((await ask(path)).status, path).toBe(422);
    }
  });

  it("lists CPU flavors with their memory, and none of them as available", async () => {
    const ask = await asker();
    const { body } = await ask(`cpus/cpu3g?${STOCK}=SERVERLESS&vcpuCount=2`);
    expect(body).toMatchObject({ id: "cpu3g", ramGbPerVcpu: 4, availability: "NONE" });
    expect((await ask("cpus")).body.cpus).toHaveLength(4);
    expect((await ask("cpus/cpu9z")).status).toBe(404);
  });

  it("has one data center, which is yours, with what RunPod's client insists on", async () => {
    const ask = await asker();
    const { body } = await ask("datacenters?include=GPU_AVAILABILITY");
    expect(body.dataCenters).toMatchObject([{ id: "OWN", networkVolumeTypes: [], region: "UNKNOWN" }]);
    expect(body.dataCenters[0].gpuAvailability).toContainEqual({
      id: "NVIDIA GeForce RTX 4090",
      name: "RTX 4090",
      availability: "HIGH",
    });
    expect((await ask("datacenters/OWN")).body.id).toBe("OWN");
    expect((await ask("datacenters/EU-1")).status).toBe(404);
    for (const filter of ["regions=EUROPE", "networkVolumeTypes=STANDARD", "compliance=GDPR", "globalNetwork=true"]) {
      expect((await ask(`datacenters?${filter}`)).body.dataCenters, filter).toEqual([]);
    }
  });
});
