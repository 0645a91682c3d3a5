// Changes existing rows. The database itself raises an endpoint's version with each change, so that its broker learns
// that its settings are old; a function that returns an endpoint's id lets the command inform the broker at once.
import * as z from "zod";
import { textOf } from "../core/json/value.ts";
import { isWideForm, openAiRoutesProblem } from "../core/openai/routes.ts";
import { type EndpointChange, selectOpenness, updateEndpoint } from "../db/endpoints.ts";
import { revokeKey as revokeKeyAt, selectKey } from "../db/keys.ts";
import type { Statement } from "../db/statement.ts";
import { selectTenant, updateWaitingMax } from "../db/tenants.ts";
import { selectEndpointOf } from "../db/upstreams.ts";
import type { Execute } from "./d1.ts";

interface Changed {
  readonly endpointId: string;
}

/** Runs a change of an existing upstream. Returns the endpoint whose broker must be informed. */
export async function changeUpstream(
  execute: Execute,
  upstreamId: string,
  change: (upstreamId: string) => Statement,
): Promise<Changed> {
  const [rows] = await execute(selectEndpointOf(upstreamId));
  const endpointId = textOf(rows?.[0], "endpoint_id");
  if (endpointId === "") throw new Error(`there is no upstream ${upstreamId}`);
  await execute(change(upstreamId));
  return { endpointId };
}

/**
 * Revokes a key. A tenant's key is refused everywhere within 30 s, or when D1 answers again; for a worker's key this
 * returns the endpoint whose broker must be informed.
 */
export async function revokeKey(execute: Execute, keyId: string): Promise<Changed | undefined> {
  const [rows] = await execute(selectKey(keyId));
  if (textOf(rows?.[0], "id") === "") throw new Error(`there is no key ${keyId}`);
  const endpointId = textOf(rows?.[0], "endpoint_id");
  await execute(revokeKeyAt(keyId, Date.now()));
  return endpointId === "" ? undefined : { endpointId };
}

export async function setWaitingMax(execute: Execute, tenantId: string, waitingMax: number): Promise<void> {
  const [rows] = await execute(selectTenant(tenantId));
  if (textOf(rows?.[0], "id") === "") throw new Error(`there is no tenant ${tenantId}`);
  await execute(updateWaitingMax(tenantId, waitingMax));
}

const opennessSchema = z.object({ shared: z.int(), openai_routes: z.string() });

/** Changes the fields that are given. Returns the endpoint whose broker must be informed. */
export async function setEndpoint(execute: Execute, endpointId: string, change: EndpointChange): Promise<Changed> {
  const [rows] = await execute(selectOpenness(endpointId));
  if (rows?.[0] === undefined) throw new Error(`there is no endpoint with the id ${endpointId} (a slug is no id)`);
  const now = opennessSchema.parse(rows[0]);
  checkRoutes(change.openaiRoutes ?? now.openai_routes, change.shared ?? now.shared === 1);
  await execute(updateEndpoint(endpointId, change));
  return { endpointId };
}

/** Which routes are open and whether the endpoint is shared depend on each other. Throws one sentence on what to do. */
export function checkRoutes(openaiRoutes: string, shared: boolean): void {
  const problem = openAiRoutesProblem(openaiRoutes);
  if (problem !== null) throw new Error(`--openai-routes: ${problem}`);
  if (shared && isWideForm(openaiRoutes)) {
    throw new Error(
      '--openai-routes all is not for a shared endpoint: name the routes, such as --openai-routes "inference,GET /v1/files/*"',
    );
  }
}
