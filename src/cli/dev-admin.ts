// The operator's commands as `npm start` uses them: on the local database of a persist folder.
import { type AdminContext, addUpstream, createEndpoint, createKey, createTenant, moveUpstream } from "./admin-book.ts";
import { executeSql } from "./dev-database.ts";
import type { DevSecrets } from "./dev-secrets.ts";

/** What differs between the upstreams of development; the rest is fixed below. */
export interface DevUpstream {
  readonly url: string;
  readonly dialect: "runpod" | "http" | "openai";
  readonly slots: number;
  readonly credential: string | null;
}

interface Place {
  readonly persistTo: string;
  readonly secrets: DevSecrets;
}

function contextOf({ persistTo, secrets }: Place): AdminContext {
  return {
    secrets: { pepper: secrets.get("PEPPER") ?? "", encryptionKey: secrets.get("ENCRYPTION_KEY") ?? "" },
    execute: (sql) => executeSql(persistTo, sql),
  };
}

/** A tenant with a key for everything that a tenant's key may do. */
export async function createDevTenant(
  place: Place,
  name: string,
  waitingMax?: number,
): Promise<{ readonly tenantId: string; readonly key: string; readonly webhookSecret: string }> {
  const context = contextOf(place);
  const tenant = await createTenant(context, waitingMax === undefined ? { name } : { name, waitingMax });
  const { tenantId } = tenant;
  const { key } = await createKey(context, { tenantId, scopes: ["jobs", "manage", "admin"], name: "development" });
  return { ...tenant, key };
}

export async function createDevEndpoint(place: Place, tenantId: string, slug: string): Promise<string> {
  return (await createEndpoint(contextOf(place), { tenantId, slug })).endpointId;
}

export async function addDevUpstream(place: Place, endpointId: string, upstream: DevUpstream): Promise<string> {
  const made = await addUpstream(contextOf(place), {
    endpointId,
    local: false,
    tier: "a4000",
    rateKind: "flex",
    ...upstream,
  });
  return made.upstreamId;
}

export async function moveDevUpstream(place: Place, upstreamId: string, url: string): Promise<void> {
  await moveUpstream(contextOf(place), upstreamId, url);
}
