// The row of an endpoint as tests write it: what is left out has the default that the management API gives it.
import { fleetSchema } from "../../src/contract/manage/fleet.ts";
import type { ManagedEndpoint } from "../../src/contract/manage/managed-endpoint.ts";
import {
  ATTEMPTS_DEFAULT_MAX,
  EXECUTION_TIMEOUT_DEFAULT_MS,
  LB_BODY_DEFAULT_MAX_BYTES,
  RUN_RETENTION_DEFAULT_MS,
  RUNSYNC_RETENTION_DEFAULT_MS,
  TTL_DEFAULT_MS,
} from "../../src/core/limits.ts";
import { INFERENCE } from "../../src/core/openai/routes.ts";
import { insertManaged } from "../../src/db/managed-endpoints.ts";
import type { Statement } from "../../src/db/statement.ts";

type Row = Omit<ManagedEndpoint, "version">;
type Needed = "id" | "tenantId" | "number" | "slug" | "createdAtMs";
/** Undefined is like left out. */
export type NewEndpoint = Pick<Row, Needed> & { readonly [Name in Exclude<keyof Row, Needed>]?: Row[Name] | undefined };

export function insertEndpoint({ id, tenantId, number, slug, createdAtMs, ...given }: NewEndpoint): Statement {
  return insertManaged({
    id,
    tenantId,
    number,
    slug,
    createdAtMs,
    name: given.name ?? "",
    kind: given.kind ?? "queue",
    release: given.release ?? 1,
    paused: given.paused ?? false,
    maxAttempts: given.maxAttempts ?? ATTEMPTS_DEFAULT_MAX,
    executionTimeoutMs: given.executionTimeoutMs ?? EXECUTION_TIMEOUT_DEFAULT_MS,
    ttlMs: given.ttlMs ?? TTL_DEFAULT_MS,
    runRetentionMs: given.runRetentionMs ?? RUN_RETENTION_DEFAULT_MS,
    runsyncRetentionMs: given.runsyncRetentionMs ?? RUNSYNC_RETENTION_DEFAULT_MS,
    bodyMaxBytes: given.bodyMaxBytes ?? LB_BODY_DEFAULT_MAX_BYTES,
    shared: given.shared ?? false,
    openaiRoutes: given.openaiRoutes ?? INFERENCE,
    tenantSharePercent: given.tenantSharePercent ?? null,
    allowedOrigins: given.allowedOrigins ?? [],
    inputSchema: given.inputSchema ?? null,
    fleet: given.fleet ?? fleetSchema.parse({}),
    sealedEnv: given.sealedEnv ?? null,
    templateId: given.templateId ?? null,
  });
}
