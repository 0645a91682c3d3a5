// A deleted endpoint in D1: its row stays, no caller finds it, its slug is free, and its secrets are gone.
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { deleteEndpoint, noteEmptied } from "../../src/db/deleted-endpoints.ts";
import {
  findIdOf,
  listCallable,
  loadEndpoint,
  loadManySettings,
  loadNumberedEndpoint,
} from "../../src/db/endpoints.ts";
import { findWorkerKey, insertWorkerKey } from "../../src/db/keys.ts";
import { findManaged, listManaged, updateManaged } from "../../src/db/managed-endpoints.ts";
import { runAll } from "../../src/db/statement.ts";
import { noteTaken, takeBehind } from "../../src/db/taken-versions.ts";
import { insertUpstream } from "../../src/db/upstreams.ts";
import { upstream } from "../support/broker.ts";
import { insertEndpoint } from "../support/endpoint-row.ts";
import { drawNumber, makeTenant } from "../support/tenant.ts";

const AT_MS = 1_800_000_000_000;

async function makeDeleted(options: Parameters<typeof makeTenant>[0] = {}) {
  const made = await makeTenant({
    upstreams: [{ credential: "rp_secret" }],
    workerKeys: [{ tier: "b200" }],
    ...options,
  });
  const number = (await loadEndpoint(env.DB, made.endpointId))?.settings.number ?? 0;
  await runAll(env.DB, deleteEndpoint(made.endpointId, AT_MS));
  return { ...made, number };
}

async function rowOf(endpointId: string) {
  const sql = "SELECT deleted_at, emptied_at, slug, version, taken_version FROM endpoints WHERE id = ?";
  return env.DB.prepare(sql).bind(endpointId).first();
}

const behind = async () => (await takeBehind(env.DB, 1_000)).sort();

describe("a deleted endpoint", () => {
  it("is found by nobody, by any of its names", async () => {
    const { endpointId, slug, number, tenantId } = await makeDeleted({ shared: true });
    const newSlug = String((await rowOf(endpointId))?.slug);
    for (const name of [endpointId, slug, newSlug]) {
      expect(await loadEndpoint(env.DB, name)).toBeNull();
      expect(await findIdOf(env.DB, name)).toBeNull();
    }
    expect(await loadNumberedEndpoint(env.DB, number)).toBeNull();
    const callable = await listCallable(env.DB, tenantId, { after: null, limit: 1_000 });
    expect(callable.map(({ id }) => id)).not.toContain(endpointId);
    for (const owner of [tenantId, null]) {
      for (const name of [endpointId, slug, newSlug]) expect(await findManaged(env.DB, owner, name)).toBeNull();
      const managed = await listManaged(env.DB, owner, { after: null, limit: 1_000 });
      expect(managed.map(({ id }) => id)).not.toContain(endpointId);
    }
  });

  it("has no credential, no environment and no key of workers left, and no template that it would hold", async () => {
    const made = await makeTenant({ upstreams: [{ credential: "rp_secret" }], workerKeys: [{}] });
    const { endpointId, workerKeys } = made;
    const sealed = "UPDATE endpoints SET sealed_env = 'sealed', template_id = 'tpl' WHERE id = ? RETURNING sealed_env";
    expect(await env.DB.prepare(sealed).bind(endpointId).first("sealed_env")).toBe("sealed");
    await runAll(env.DB, deleteEndpoint(endpointId, AT_MS));
    const kept = "SELECT sealed_env, template_id FROM endpoints WHERE id = ?";
    expect(await env.DB.prepare(kept).bind(endpointId).first()).toEqual({ sealed_env: null, template_id: null });
    const left = "SELECT count(*) AS left FROM upstreams WHERE endpoint_id = ?";
    expect(await env.DB.prepare(left).bind(endpointId).first("left")).toBe(0);
    expect(await findWorkerKey(env.DB, parseApiKey(workerKeys[0] ?? "")?.id ?? "")).toBeNull();
  });

  it("leaves its slug to another one, and never its id", async () => {
    const { endpointId, slug, tenantId } = await makeDeleted();
    const next = { id: `ep-${crypto.randomUUID()}`, number: drawNumber(), tenantId, slug, createdAtMs: AT_MS };
    await runAll(env.DB, [insertEndpoint(next)]);
    expect(await findIdOf(env.DB, slug)).toBe(next.id);
    const again = { ...next, id: endpointId, slug: crypto.randomUUID(), number: drawNumber() };
    await expect(runAll(env.DB, [insertEndpoint(again)])).rejects.toThrow(/UNIQUE constraint failed/);
  });

  it("takes no upstream, no key and no change any more", async () => {
    const { endpointId } = await makeDeleted();
    const added = upstream({ id: `up-${crypto.randomUUID()}` });
    await expect(runAll(env.DB, [insertUpstream(endpointId, added, AT_MS)])).rejects.toThrow(
      /FOREIGN KEY constraint failed/,
    );
    const key = { id: crypto.randomUUID(), digest: "0".repeat(64), name: "", createdAtMs: AT_MS, endpointId };
    const price = { tier: "l4", rateKind: "flex", slots: 1 } as const;
    await expect(runAll(env.DB, [insertWorkerKey({ ...key, ...price })])).rejects.toThrow(/constraint failed/);
    const before = await rowOf(endpointId);
    const change = { shared: true, openaiRoutes: "all", tenantSharePercent: 1 };
    await runAll(env.DB, [updateManaged(endpointId, { ...change, slug: "taken-back" })]);
    expect(await rowOf(endpointId)).toEqual(before);
  });

  it("is deleted once: a second deletion changes nothing, and so does that of no endpoint", async () => {
    const { endpointId } = await makeDeleted();
    const before = await rowOf(endpointId);
    expect(before).toMatchObject({ deleted_at: AT_MS, emptied_at: null });
    await runAll(env.DB, [...deleteEndpoint(endpointId, AT_MS + 1), ...deleteEndpoint("nowhere", AT_MS)]);
    expect(await rowOf(endpointId)).toEqual(before);
  });

  it("leaves the upstreams and keys of other endpoints as they are", async () => {
    const other = await makeTenant({ upstreams: [{}], workerKeys: [{}] });
    const before = await loadEndpoint(env.DB, other.endpointId);
    await makeDeleted();
    expect(await loadEndpoint(env.DB, other.endpointId)).toEqual(before);
  });

  it("is brought to its broker until that has taken it, with the time of the deletion and nothing to run on", async () => {
    const { endpointId } = await makeDeleted();
    expect(await behind()).toContain(endpointId);
    const [settings] = await loadManySettings(env.DB, [endpointId]);
    expect(settings).toMatchObject({ endpointId, deletedAtMs: AT_MS, upstreams: [], workerKeys: [] });
    await noteTaken(env.DB, [{ endpointId, version: settings?.version ?? 0 }]);
    expect(await behind()).not.toContain(endpointId);
  });

  it("is never brought to an emptied broker, also when a price of its revoked keys changes", async () => {
    const { endpointId } = await makeDeleted();
    const [settings] = await loadManySettings(env.DB, [endpointId]);
    await noteTaken(env.DB, [{ endpointId, version: settings?.version ?? 0 }]);
    await noteEmptied(env.DB, endpointId, AT_MS + 1);
    await noteEmptied(env.DB, endpointId, AT_MS + 2);
    await env.DB.prepare("INSERT INTO gpu_rates VALUES ('b200', 'flex', 4102444800000, 1)").run();
    expect(await rowOf(endpointId)).toMatchObject({ emptied_at: AT_MS + 1 });
    expect(await behind()).not.toContain(endpointId);
    expect(await loadManySettings(env.DB, [endpointId])).toEqual([]);
  });
});

it("only a deleted endpoint's broker is ever noted as emptied", async () => {
  const { endpointId } = await makeTenant();
  await noteEmptied(env.DB, endpointId, AT_MS);
  expect(await rowOf(endpointId)).toMatchObject({ emptied_at: null, version: 1 });
});
