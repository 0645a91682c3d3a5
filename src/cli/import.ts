// Makes a deployment of an export: its rows are written into an empty database, which must have the same migrations and secrets. One that
// has ended in the middle is repeated with the same export, whatever of its last call was done.
import {
  EXPORTED_TABLES,
  type ExportHead,
  type ExportRow,
  exportEndSchema,
  exportHeadSchema,
  exportRowSchema,
} from "../contract/manage/export.ts";
import { messageOf } from "../core/failure.ts";
import { parseJson, textOf } from "../core/json/value.ts";
import { SELECT_APPLIED } from "../db/deployment.ts";
import { insertFingerprint, SELECT_FINGERPRINTS } from "../db/fingerprints.ts";
import { beginImport, endImport, IMPORTED, MARK, noteProgress, PROGRESS } from "../db/importing.ts";
import type { Statement } from "../db/statement.ts";
import { SELECT_ANY_TENANT } from "../db/tenants.ts";
import { keyFingerprint } from "../outbound/credentials.ts";
import type { AdminSecrets } from "./admin-secrets.ts";
import type { Execute } from "./d1.ts";
import { batchesOf, fingerprintOf, inOrder } from "./import-items.ts";

export interface ReadExport {
  readonly head: ExportHead;
  readonly rows: readonly ExportRow[];
}

export interface ImportContext {
  readonly secrets: AdminSecrets;
  readonly execute: Execute;
  /** It is a deployed database. */
  readonly isRemote: boolean;
}

export interface Imported {
  /** Rows of each table. */
  readonly counts: Readonly<Record<string, number>>;
  /** An earlier run has ended in the middle, and this one has gone on there. */
  readonly wasBegun: boolean;
  /** An earlier run has written all of it, and this one nothing. */
  readonly wasThere: boolean;
}

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

/** Writes the rows, each after those that it refers to. */
export async function importDeployment(
  { secrets, execute, isRemote }: ImportContext,
  { head, rows: exported }: ReadExport,
): Promise<Imported> {
  const [tenants = [], migrations = [], facts = []] = await execute(
    SELECT_ANY_TENANT,
    SELECT_APPLIED,
    SELECT_FINGERPRINTS,
  );
  const known = new Map(facts.map((row) => [textOf(row, "name"), textOf(row, "value")]));
  const rows = inOrder(exported);
  const fingerprint = fingerprintOf(rows);
  const counts = Object.fromEntries(
    EXPORTED_TABLES.map((table) => [table, rows.filter((row) => row.table === table).length]),
  );
  const mark = known.get(MARK);
  const isEmpty = tenants.length === 0;
  if (mark === undefined && !isEmpty && known.get(IMPORTED) === fingerprint)
    return { counts, wasBegun: false, wasThere: true };
  if (mark === undefined && !isEmpty)
    throw new Error("the deployment has tenants already: an import makes an empty one");
  if (mark !== undefined && mark !== fingerprint)
    throw new Error(
      "an import of another export has not ended in this database: repeat it with that one, or begin with an empty database",
    );
  const migration = textOf(migrations.at(-1), "name");
  if (migration !== head.migration)
    throw new Error(
      `the export is of a database with the migration ${head.migration}, and this one has ${migration}: both must be of the same release`,
    );
  const prints = await checkSecrets(head, secrets, known);
  const written = mark === undefined ? 0 : Number(known.get(PROGRESS) ?? 0);
  const batches = () => batchesOf(rows, fingerprint, { written, isRemote });
  // All statements are made before the first is run, so that a row that cannot be written leaves nothing behind; and made again, because those
  // of millions of rows have no room in memory.
  for (const _ of batches());
  try {
    if (mark === undefined) await execute(...prints, beginImport(fingerprint));
    for (const { statements, items, isLast } of batches())
      await execute(...statements, ...(isLast ? endImport(fingerprint) : [noteProgress(fingerprint, items)]));
  } catch (error) {
    throw new Error(`${messageOf(error)}\nRun it again with the same file: it goes on where this run has ended.`);
  }
  // No statement of ours does anything under the mark of another one.
  const [left = []] = await execute(SELECT_FINGERPRINTS);
  if (!left.some((row) => textOf(row, "name") === IMPORTED && textOf(row, "value") === fingerprint))
    throw new Error("another import has begun in this database at the same time, and this one has written nothing");
  return { counts, wasBegun: mark !== undefined, wasThere: false };
}

/** Under other secrets no key would open anything, and no credential could be read. */
async function checkSecrets(
  head: ExportHead,
  secrets: AdminSecrets,
  known: ReadonlyMap<string, string>,
): Promise<Statement[]> {
  const prints = {
    pepper: await keyFingerprint(secrets.pepper),
    encryption_key: await keyFingerprint(secrets.encryptionKey),
  };
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
