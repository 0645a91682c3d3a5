// The address of a provider: machines that were made at one are not found at another.
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const PATH = "/v1/providers";
const OFFERS = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
const HOOK = { name: "hook", kind: "webhook", url: "https://hook.example.com/machines", offers: OFFERS };
const RUNPOD = { name: "pods", kind: "runpod", credential: "rpa_0123456789ABCDEF", offers: OFFERS };
const SECRET = `whsec_${btoa("s".repeat(32))}`;

async function scene(provider: object) {
  const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
  const { id } = (await manage(key, "POST", PATH, provider)).body;
  const change = (patch: object) => manage(key, "PATCH", `${PATH}/${id}`, patch);
  const endpoint = async (providers: readonly string[] | null) => {
    const body = { slug: `slug-${crypto.randomUUID()}`, image: "my-org/worker:1", gpu: { pools: ["AMPERE_24"] } };
    return (await manage(key, "POST", "/v1/endpoints", { ...body, providers })).body;
  };
  return { key, id, change, endpoint };
}

describe("another address of a provider", () => {
  it.each([
    ["a hook", HOOK, { url: "https://other.example.com/machines" }],
    ["RunPod's API", RUNPOD, { url: "https://pods.example.com", credential: RUNPOD.credential }],
  ])(
    "(%s) is refused while an endpoint names it, and another secret of the same one is not",
    async (_, made, moved) => {
      const { key, id, change, endpoint } = await scene(made);
      const { id: endpointId, slug } = await endpoint([id]);
      expect(await change(moved)).toMatchObject({
        status: 409,
        body: { field: "url", detail: expect.stringMatching(`make a new provider .*${slug}`) },
      });
      const credential = made === HOOK ? SECRET : "rpa_another-0123456789";
      expect((await change({ credential, url: "url" in made ? made.url : null })).status).toBe(200);
      await manage(key, "PATCH", `/v1/endpoints/${endpointId}`, { providers: [] });
      expect((await change(moved)).body.url).toBe(moved.url);
    },
  );

  it("is refused while an endpoint has it as a default one, also where it becomes none by the same call", async () => {
    const { change, endpoint } = await scene({ ...HOOK, default: true });
    await endpoint(null);
    const url = "https://other.example.com/machines";
    expect((await change({ url, default: false })).status).toBe(409);
    expect((await change({ default: false })).status).toBe(200);
    expect((await change({ url })).status).toBe(200);
  });
});
