// An import that ends at any of its statements and is run again makes the same of it as one that ran through; it writes what D1 takes in
// one statement, and while it is under way another one is refused.
import type { DatabaseSync } from "node:sqlite";
import { beforeAll, describe, expect, it } from "vitest";
import type { Execute } from "../../src/cli/d1.ts";
import { importDeployment, type ReadExport } from "../../src/cli/import.ts";
import { batchesOf, fingerprintOf, inOrder, STATEMENT_MAX_BYTES, writeRow } from "../../src/cli/import-items.ts";
import { toSqlText } from "../../src/cli/sql-text.ts";
import type { ExportRow } from "../../src/contract/manage/export.ts";
import { keyFingerprint } from "../../src/outbound/credentials.ts";
import { fillTables, longText } from "./filled-tables.ts";
import { type Cut, executeText, exportOf, makeMigrated } from "./sqlite.ts";

const secrets = { pepper: "p".repeat(40), encryptionKey: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" };
let read: ReadExport;

beforeAll(async () => {
  const db = makeMigrated();
  fillTables(db);
  read = { head: await headOf(), rows: await exportOf(db) };
});

async function headOf(): Promise<ReadExport["head"]> {
  return {
    ...{ waybill: "export", format: 1, migration: "0022_providers.sql", tenant: null, at: "2027-01-01T00:00:00Z" },
    secrets: {
      pepper: await keyFingerprint(secrets.pepper),
      encryption_key: await keyFingerprint(secrets.encryptionKey),
    },
  };
}

/** Runs an import; resolves with the text of its error, null where it ended well. */
async function run(db: DatabaseSync, cut: Cut | null = null, what = read): Promise<string | null> {
  try {
    await importDeployment({ secrets, execute: executeText(db, cut).execute, isRemote: false }, what);
    return null;
  } catch (error) {
    return String(error);
  }
}

const metaOf = (db: DatabaseSync): unknown[] =>
  db
    .prepare("SELECT name FROM meta ORDER BY name")
    .all()
    .map(({ name }) => name);

/** All that an import leaves, also what an export leaves out. */
function contentsOf(db: DatabaseSync): unknown {
  const endpoints = db.prepare("SELECT id, version, taken_version FROM endpoints ORDER BY id").all();
  const numbers = db.prepare("SELECT name, seq FROM sqlite_sequence WHERE name <> 'd1_migrations'").all();
  return { meta: db.prepare("SELECT * FROM meta ORDER BY name").all(), endpoints, numbers };
}

describe("an import", () => {
  it("makes what was exported, and leaves its fingerprint in place of its mark", async () => {
    const db = makeMigrated();
    expect(await run(db)).toBe(null);
    expect(await exportOf(db)).toEqual(read.rows);
    expect(metaOf(db)).toEqual(["encryption_key", "imported", "pepper"]);
    expect(contentsOf(db)).toMatchObject({ endpoints: [{ version: 41, taken_version: 41 }, { version: 4 }] });
  });

  it("that ends at any statement is repeated to the same end", { timeout: 120_000 }, async () => {
    const plain = makeMigrated();
    const { execute, written } = executeText(plain);
    await importDeployment({ secrets, execute, isRemote: false }, read);
    const wanted = contentsOf(plain);
    const last = written() - 1;
    // Of the prices that are there anyway, and of the six hundred equal lines of the bill, only some are cut off.
    const isOfInterest = (at: number) => at < 5 || (at > 30 && at < 70) || (at > 498 && at < 508) || at > last - 12;
    const places = Array.from({ length: last + 1 }, (_, at) => at).filter(isOfInterest);
    expect(last).toBeGreaterThan(600);
    // What is after one is before the next one, but for the last.
    const cuts: Cut[] = [
      ...places.map((statement) => ({ statement, when: "before" as const })),
      { statement: last, when: "after" },
    ];
    for (const cut of cuts) {
      const at = `${cut.when} ${cut.statement}`;
      const db = makeMigrated();
      expect(await run(db, cut), at).toContain(
        "the network is away\nRun it again with the same file: it goes on where this run has ended.",
      );
      const again = executeText(db);
      await importDeployment({ secrets, execute: again.execute, isRemote: false }, read);
      // What was written by an earlier call is not written a second time.
      if (cut.statement > 503 && cut.statement < last) expect(again.written(), at).toBeLessThan(200);
      expect(fingerprintOf(await exportOf(db)), at).toBe(fingerprintOf(read.rows));
      expect(contentsOf(db), at).toEqual(wanted);
    }
  });

  it("that ends twice, in the midst of a value in pieces, is repeated to the same end", async () => {
    const db = makeMigrated();
    const isPiece = () => metaOf(db).includes("import_piece_1");
    let statement = 0;
    while (!isPiece()) await run(db, { statement: statement++, when: "after" });
    expect(metaOf(db)).toContain("importing");
    await run(db, { statement: 2, when: "after" });
    expect(await run(db)).toBe(null);
    expect(await exportOf(db)).toEqual(read.rows);
    expect(metaOf(db)).toEqual(["encryption_key", "imported", "pepper"]);
  });

  it("is refused while one of another export has not ended, and goes on with its own", async () => {
    const db = makeMigrated();
    const other = { ...read, rows: read.rows.filter(({ table }) => table !== "audit_lines") };
    await run(db, { statement: 20, when: "after" });
    const before = await exportOf(db);
    expect(await run(db, null, other)).toBe(
      "Error: an import of another export has not ended in this database: repeat it with that one, or begin with an empty database",
    );
    expect(await exportOf(db)).toEqual(before);
    expect(await run(db)).toBe(null);
    expect(await run(db, null, other)).toContain("has tenants already");
  });

  it("says so where another one began at the same moment, whose mark was first", async () => {
    const db = makeMigrated();
    const { execute } = executeText(db);
    const late: Execute = (...statements) => {
      if (!statements[0]?.sql.startsWith("SELECT")) db.exec("INSERT OR IGNORE INTO meta VALUES ('importing', 'other')");
      return execute(...statements);
    };
    await expect(importDeployment({ secrets, execute: late, isRemote: false }, read)).rejects.toThrow(
      "another import has begun in this database at the same time",
    );
    expect(db.prepare("SELECT id FROM tenants").all()).toEqual([]);
  });

  it("that was whole is told, and writes nothing", async () => {
    const db = makeMigrated();
    await run(db);
    db.exec("DELETE FROM api_keys WHERE id = 'client'");
    const { execute, written } = executeText(db);
    expect(await importDeployment({ secrets, execute, isRemote: false }, read)).toMatchObject({ wasThere: true });
    expect(written()).toBe(0);
  });

  it("whose file runs late, when a repetition has ended, changes nothing", async () => {
    const db = makeMigrated();
    await run(db);
    db.exec("DELETE FROM api_keys WHERE id = 'client'; UPDATE endpoints SET version = 41 WHERE id = 'a'");
    const before = [await exportOf(db), contentsOf(db)];
    const rows = inOrder(read.rows);
    const { execute } = executeText(db);
    const whole = { written: 0, isRemote: false };
    for (const { statements } of batchesOf(rows, fingerprintOf(rows), whole)) await execute(...statements);
    expect([await exportOf(db), contentsOf(db)]).toEqual(before);
  });

  it("does not pass over a row that breaks a rule of its table", async () => {
    const rows = read.rows.map(
      (row): ExportRow => (row.table === "api_keys" ? { ...row, row: { ...row.row, digest: "short" } } : row),
    );
    const db = makeMigrated();
    expect(await run(db, null, { ...read, rows })).toContain("CHECK constraint failed");
    expect(metaOf(db)).toContain("importing");
  });
});

describe("a row that is too long for a statement", () => {
  const rowOf = (columns: ExportRow["row"]): ExportRow => ({ table: "endpoints", row: { id: "e", ...columns } });
  const sqlOf = (row: ExportRow) => writeRow(row, "f").map(toSqlText);

  it("is one statement as long as it fits in one", () => {
    const [sql = "", ...none] = sqlOf(rowOf({ sealed_env: "" }));
    expect(none).toEqual([]);
    const room = STATEMENT_MAX_BYTES - Buffer.byteLength(sql);
    expect(sqlOf(rowOf({ sealed_env: "x".repeat(room) }))).toHaveLength(1);
    expect(sqlOf(rowOf({ sealed_env: "x".repeat(room + 1) }))).toHaveLength(4);
  });

  it.each([
    ["quotes, which are written twice", "'".repeat(200_000)],
    ["characters of two halves, from an even place", "😀".repeat(60_000)],
    ["characters of two halves, from an odd place", `x${"😀".repeat(60_000)}`],
    ["two megabytes", longText(2_000_000)],
  ])("is cut into statements that D1 takes, between characters: %s", (_, value) => {
    const statements = writeRow(rowOf({ sealed_env: value }), "f");
    for (const sql of statements.map(toSqlText))
      expect(Buffer.byteLength(sql)).toBeLessThanOrEqual(STATEMENT_MAX_BYTES);
    const pieces = statements.slice(0, -2).map(({ params }) => String(params[1]));
    expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
    expect(pieces.join("")).toBe(value);
  });

  it("and has many long values is cut, too", () => {
    const values = Object.fromEntries(["sealed_env", "input_schema", "fleet"].map((name) => [name, longText(60_000)]));
    for (const sql of sqlOf(rowOf(values))) expect(Buffer.byteLength(sql)).toBeLessThanOrEqual(STATEMENT_MAX_BYTES);
  });
});
