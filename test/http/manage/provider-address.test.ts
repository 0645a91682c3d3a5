// The address of a provider is for good: machines that were made at one are not found at another.
import { describe, expect, it } from "vitest";
import { manage } from "../../support/manage.ts";
import { makeTenant } from "../../support/tenant.ts";

const PATH = "/v1/providers";
const OFFERS = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
const HOOK = { name: "hook", kind: "webhook", url: "https://hook.example.com/machines", offers: OFFERS };
const KEY = "rpa_0123456789ABCDEF";
const RUNPOD = { name: "pods", kind: "runpod", url: null, credential: KEY, offers: OFFERS };
const LIKE_RUNPOD = { ...RUNPOD, url: "https://pods.example.com/api" };
const SECRET = `whsec_${btoa("s".repeat(32))}`;
const REFUSED = {
  status: 409,
  body: { code: "conflict", field: "url", detail: expect.stringContaining("add a new provider") },
};

async function scene(provider: object) {
  const { key } = await makeTenant({ scopes: ["jobs", "manage"] });
  const { id } = (await manage(key, "POST", PATH, provider)).body;
  const change = (patch: object) => manage(key, "PATCH", `${PATH}/${id}`, patch);
  const endpoint = async (providers: readonly string[]) => {
    const body = { slug: `slug-${crypto.randomUUID()}`, image: "my-org/worker:1", gpu: { pools: ["AMPERE_24"] } };
    return (await manage(key, "POST", "/v1/endpoints", { ...body, providers })).body;
  };
  return { key, id, change, endpoint };
}

describe("another address of a provider", () => {
  it.each([
    ["a hook", HOOK, { url: "https://other.example.com/machines" }],
    ["a hook, to none", HOOK, { url: null }],
    ["RunPod's API", RUNPOD, { url: "https://pods.example.com", credential: KEY }],
    ["an API that is RunPod's", LIKE_RUNPOD, { url: "https://pods.example.com/v2", credential: KEY }],
    ["an API that is RunPod's, to RunPod's own", LIKE_RUNPOD, { url: null, credential: KEY }],
  ])("(%s) is refused, whether an endpoint uses it or not", async (_, made, moved) => {
    const { change } = await scene(made);
    expect(await change(moved)).toMatchObject(REFUSED);
    expect((await change({})).body).toMatchObject({ url: made.url, version: 1 });
  });

  it("is refused in the moment after its last endpoint has let go of it, as the machines are still there", async () => {
    const { key, id, change, endpoint } = await scene(HOOK);
    const made = await endpoint([id]);
    await manage(key, "PATCH", `/v1/endpoints/${made.id}`, { providers: [] });
    expect(await change({ url: "https://other.example.com/machines" })).toMatchObject(REFUSED);
  });

  it.each([
    ["a hook", HOOK, { credential: SECRET }],
    ["RunPod's API", RUNPOD, { credential: "rpa_another-0123456789" }],
  ])("(%s) is not asked for by a change that repeats its own", async (_, made, change) => {
    const { change: patch, endpoint, id } = await scene(made);
    await endpoint([id]);
    const changed = await patch({ ...change, url: made.url, name: "renamed" });
    expect(changed).toMatchObject({ status: 200, body: { name: "renamed", url: made.url } });
  });
});
