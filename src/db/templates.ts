// Templates: presets of what workers are started with. Every statement takes the tenant; a public template is read by all of them.
import { type ManagedTemplate, managedTemplateSchema, type TemplateSettings } from "../contract/manage/template.ts";
import { expectThat } from "./expectations.ts";
import { BEFORE_NEWEST, type Page } from "./page.ts";
import { boundedPage, type Cut, cutRows, type SizedRow } from "./page-size.ts";
import { bound, type Database, insertInto, type Statement, statement } from "./statement.ts";

const COLUMNS = `id, tenant_id AS tenantId, name, settings, sealed_env AS sealedEnv, version, created_at AS createdAtMs`;
const IS_PUBLIC = "settings ->> 'public' = 1";

const CHARS = "length(settings) + coalesce(length(sealed_env), 0)";

type Row = { readonly settings: string };

function toTemplate(row: Row): ManagedTemplate {
  return managedTemplateSchema.parse({ ...row, settings: JSON.parse(row.settings) });
}

/** A template that the tenant may read: its own or a public one. Null: there is none. */
export async function findTemplate(db: Database, tenantId: string, id: string): Promise<ManagedTemplate | null> {
  const sql = `SELECT ${COLUMNS} FROM templates WHERE id = ? AND (tenant_id = ? OR ${IS_PUBLIC})`;
  const row = await bound(db, statement(sql, id, tenantId)).first<Row>();
  return row === null ? null : toTemplate(row);
}

/** A page of the tenant's own templates, newest first, cut where it is large. */
export async function listTemplates(
  db: Database,
  tenantId: string,
  { after, limit }: Page,
): Promise<(ManagedTemplate & Cut)[]> {
  const { createdAtMs, id } = after ?? BEFORE_NEWEST;
  const rows = `SELECT * FROM templates WHERE tenant_id = ? AND (created_at, id) < (?, ?)
    ORDER BY created_at DESC, id DESC LIMIT ?`;
  const asked = statement(boundedPage(COLUMNS, rows, CHARS), tenantId, createdAtMs, id, limit);
  const { results } = await bound(db, asked).all<Row & SizedRow>();
  return cutRows(results, toTemplate);
}

/** The newest public templates, of all tenants. */
export async function listPublicTemplates(db: Database, limit: number): Promise<ManagedTemplate[]> {
  const rows = `SELECT * FROM templates WHERE ${IS_PUBLIC} ORDER BY created_at DESC, id DESC LIMIT ?`;
  const { results } = await bound(db, statement(boundedPage(COLUMNS, rows, CHARS), limit)).all<Row>();
  return results.map(toTemplate);
}

export function insertTemplate(template: Omit<ManagedTemplate, "version">): Statement {
  const { id, tenantId, name, settings, sealedEnv, createdAtMs } = template;
  return insertInto("templates", {
    id,
    tenant_id: tenantId,
    name,
    settings: JSON.stringify(settings),
    sealed_env: sealedEnv,
    version: 1,
    created_at: createdAtMs,
  });
}

/** Writes all that can be changed of a template, and raises its version. */
export function updateTemplate(
  id: string,
  { name, settings, sealedEnv }: { name: string; settings: TemplateSettings; sealedEnv: string | null },
): Statement {
  const sql = "UPDATE templates SET name = ?, settings = ?, sealed_env = ?, version = version + 1 WHERE id = ?";
  return statement(sql, name, JSON.stringify(settings), sealedEnv, id);
}

export function deleteTemplate(id: string): Statement {
  return statement("DELETE FROM templates WHERE id = ?", id);
}

const ITS_ENDPOINTS = "FROM endpoints WHERE template_id = ? AND tenant_id = ? AND deleted_at IS NULL";

/** The id of one of the tenant's endpoints to which the template was applied last; null: there is none. */
export async function findEndpointOf(db: Database, tenantId: string, templateId: string): Promise<string | null> {
  return bound(db, statement(`SELECT id ${ITS_ENDPOINTS} LIMIT 1`, templateId, tenantId)).first<string>("id");
}

/** Ends the batch if one of the tenant's endpoints has the template. */
export function expectUnused(tenantId: string, templateId: string): Statement {
  return expectThat("unused", `NOT EXISTS (SELECT 1 ${ITS_ENDPOINTS})`, templateId, tenantId);
}
