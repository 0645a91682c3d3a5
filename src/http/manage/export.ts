// GET /v1/admin/export: a deployment or a tenant as lines of JSON, for a backup or for another deployment.
import * as z from "zod";
import { readConfig } from "../../config.ts";
import type { ExportHead } from "../../contract/manage/export.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { textOf } from "../../core/json/value.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { SELECT_APPLIED } from "../../db/deployment.ts";
import { readExport } from "../../db/export.ts";
import { bound } from "../../db/statement.ts";
import { findTenant } from "../../db/tenants.ts";
import { log } from "../../log.ts";
import { keyFingerprint } from "../../outbound/credentials.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const querySchema = z.strictObject({
  tenant: z.string().min(1).max(100).optional().meta({ description: "Id of the only tenant; without it everything" }),
});

export const EXPORT_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Operations",
    method: "GET",
    path: "/v1/admin/export",
    id: "exportDeployment",
    summary: "Export a deployment",
    description:
      'Lines of JSON: one about the whole, one for each row, and `{"end":true}`, without which the export was cut off. Settings, keys as digests, sealed secrets, usage, dead webhooks, the audit. Jobs and their payloads are not in it. `npm run admin -- import` makes a deployment of it that has the same secrets.',
    scopes: ["admin"],
    kind: "reads",
    query: querySchema,
    answers: { 200: { description: "The export", schema: null, mediaType: "application/x-ndjson" } },
    handle: exportAll,
  }),
];

async function exportAll({
  env,
  caller,
  query,
  nowMs,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const { tenant = null } = query;
  const found = await askD1(async () => ({
    migrations: (await bound(env.DB, SELECT_APPLIED).all()).results,
    isKnown: tenant === null || (await findTenant(env.DB, null, tenant)) !== null,
  }));
  if (!found.ok) return found;
  if (!found.value.isKnown) return fail({ kind: "not_found", what: "tenant" });
  const { pepper, encryptionKey } = readConfig(env);
  const head: ExportHead = {
    waybill: "export",
    format: 1,
    migration: textOf(found.value.migrations.at(-1), "name"),
    tenant,
    at: toTimeText(nowMs),
    secrets: { pepper: await keyFingerprint(pepper), encryption_key: await keyFingerprint(encryptionKey) },
  };
  return ok({ status: 200, lines: linesOf(env, head), headers: { "content-disposition": DISPOSITION } });
}

const DISPOSITION = 'attachment; filename="waybill.ndjson"';

/** A page is read when the one before has been taken, so that a slow reader holds one page in memory. */
function linesOf(env: Env, head: ExportHead): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const pages = readExport(env.DB, head.tenant);
  let rows = 0;
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(`${JSON.stringify(head)}\n`)),
    async pull(controller) {
      try {
        const page = await pages.next();
        if (page.done === true) {
          controller.enqueue(encoder.encode(`${JSON.stringify({ end: true, rows })}\n`));
          controller.close();
          return;
        }
        rows += page.value.length;
        controller.enqueue(encoder.encode(page.value.map((line) => `${JSON.stringify(line)}\n`).join("")));
      } catch (error) {
        log("export_failed", { error: String(error) });
        controller.error(error);
      }
    },
    cancel: () => void pages.return(undefined),
  });
}
