// Makes a deployment of an export: its rows are written into an empty database, which must have the same migrations and secrets.
import {
  EXPORTED_TABLES,
  type ExportHead,
  type ExportRow,
  exportEndSchema,
  exportHeadSchema,
  exportRowSchema,
} from "../contract/manage/export.ts";
import { parseJson, textOf } from "../core/json/value.ts";
import { SELECT_APPLIED } from "../db/deployment.ts";
import { restoreRow, restoreVersion } from "../db/export.ts";
import { insertFingerprint, SELECT_FINGERPRINTS } from "../db/fingerprints.ts";
import type { Statement } from "../db/statement.ts";
import { SELECT_ANY_TENANT } from "../db/tenants.ts";
import { keyFingerprint } from "../outbound/credentials.ts";
import type { AdminSecrets } from "./admin-secrets.ts";
import type { Execute } from "./d1.ts";

export interface ReadExport {
  readonly head: ExportHead;
  readonly rows: readonly ExportRow[];
}

/** Statements of one transaction: a local database takes no more values at once. */
const AT_ONCE = 500;

/** Checks the text of an export as a whole, so that nothing is written of one that is cut off or changed. */
export function parseExport(text: string): ReadExport {
  const lines = text.split("\n").filter((line) => line !== "");
  const head = exportHeadSchema.safeParse(parseJson(lines[0] ?? ""));
  if (!head.success) throw new Error("this is no export: its first line is not that of GET /v1/admin/export");
  const end = exportEndSchema.safeParse(parseJson(lines.at(-1) ?? ""));
  if (!end.success) throw new Error("the export was cut off: it has no last line");
  const rows = lines.slice(1, -1).map((line, at) => {
    const row = exportRowSchema.safeParse(parseJson(line));
    if (!row.success) throw new Error(`line ${at + 2} of the export is not one that GET /v1/admin/export writes`);
    return row.data;
  });
  if (rows.length !== end.data.rows) throw new Error(`the export has ${rows.length} rows of ${end.data.rows}`);
  return { head: head.data, rows };
}

/** Writes the rows, each table after those that it refers to. Returns how many there were of each. */
export async function importDeployment(
  { secrets, execute }: { readonly secrets: AdminSecrets; readonly execute: Execute },
  { head, rows }: ReadExport,
): Promise<Readonly<Record<string, number>>> {
  const [tenants = [], migrations = [], fingerprints = []] = await execute(
    SELECT_ANY_TENANT,
    SELECT_APPLIED,
    SELECT_FINGERPRINTS,
  );
  if (tenants.length > 0) throw new Error("the deployment has tenants already: an import makes an empty one");
  const migration = textOf(migrations.at(-1), "name");
  if (migration !== head.migration)
    throw new Error(
      `the export is of a database with the migration ${head.migration}, and this one has ${migration}: both must be of the same release`,
    );
  const prints = await checkSecrets(head, secrets, fingerprints);
  const written = EXPORTED_TABLES.flatMap((table) => rows.filter((row) => row.table === table));
  // An endpoint's version rises with each row that is added to it, so it is set when all are there.
  const versions = rows.filter(({ table }) => table === "endpoints").map(({ row }) => restoreVersion(row));
  const statements = [...prints, ...written.map(restoreRow), ...versions];
  for (let at = 0; at < statements.length; at += AT_ONCE) await execute(...statements.slice(at, at + AT_ONCE));
  return Object.fromEntries(EXPORTED_TABLES.map((table) => [table, rows.filter((row) => row.table === table).length]));
}

/** Under other secrets no key would open anything, and no credential could be read. */
async function checkSecrets(head: ExportHead, secrets: AdminSecrets, stored: readonly unknown[]): Promise<Statement[]> {
  const prints = {
    pepper: await keyFingerprint(secrets.pepper),
    encryption_key: await keyFingerprint(secrets.encryptionKey),
  };
  const known = new Map(stored.map((row) => [textOf(row, "name"), textOf(row, "value")]));
  if (head.secrets.pepper !== prints.pepper)
    throw new Error("the pepper is not that of the deployment that was exported");
  if (head.secrets.encryption_key !== prints.encryption_key)
    throw new Error("the encryption key is not that of the deployment that was exported");
  return Object.entries(prints).flatMap(([name, print]) => {
    if (known.get(name) !== undefined && known.get(name) !== print)
      throw new Error(`the ${name.replace("_", " ")} is not the one that this database was set up with`);
    return known.has(name) ? [] : [insertFingerprint(name, print)];
  });
}
