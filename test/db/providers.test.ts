// Providers as they are read.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { findProvider } from "../../src/db/providers.ts";
import { insertInto, runAll } from "../../src/db/statement.ts";
import { makeTenant } from "../support/tenant.ts";

it("a provider has all that is stored of it, and what is left out has its default", async () => {
  const { tenantId } = await makeTenant();
  const row = { id: "prov-1", tenant_id: tenantId, name: "rack", kind: "webhook", created_at: 7 };
  const more = {
    ...{ url: "https://hooks.example.org/", sealed_credential: "v1.x", is_default: 1, version: 3 },
    offers: '[{"gpuTypeId":"NVIDIA L4","priceNanodollarsPerHour":440000000}]',
  };
  await runAll(env.DB, [
    insertInto("providers", { ...row, ...more }),
    insertInto("providers", { ...row, id: "prov-2" }),
  ]);
  expect(await findProvider(env.DB, "prov-1")).toEqual({
    id: "prov-1",
    tenantId,
    name: "rack",
    kind: "webhook",
    url: "https://hooks.example.org/",
    sealedCredential: "v1.x",
    offers: [{ gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 440_000_000 }],
    isDefault: true,
    version: 3,
    createdAtMs: 7,
  });
  expect(await findProvider(env.DB, "prov-2")).toMatchObject({
    ...{ url: null, sealedCredential: null, offers: [], isDefault: false, version: 1 },
  });
  expect(await findProvider(env.DB, "prov-3")).toBeNull();
});
