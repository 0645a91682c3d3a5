// The database that the operator's commands use: a local one in a folder, or the deployed one, both by wrangler.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";
import { messageOf } from "../core/failure.ts";
import type { Statement } from "../db/statement.ts";
import { applyMigrations, executeOnFolder, runWrangler } from "./dev-database.ts";
import { writePrivate } from "./private-file.ts";
import { toSqlText } from "./sql-text.ts";

/** Runs statements and returns their rows. A call only reads or only writes: a write to a deployed D1 returns none. */
export type Execute = (...statements: readonly Statement[]) => Promise<unknown[][]>;

const resultsSchema = z.array(z.object({ results: z.array(z.unknown()).default([]) }));

/** Runs them on the local database of a folder, which is made first if there is none, and migrated if an earlier release made it. */
export async function executeLocal(persistTo: string, statements: readonly Statement[]): Promise<unknown[][]> {
  if (!existsSync(join(persistTo, "v3", "d1"))) await applyMigrations(persistTo);
  try {
    return await executeOnFolder(persistTo, statements);
  } catch (error) {
    if (!/no such (?:table|column)|has no column named/.test(messageOf(error))) throw error;
    // To ask for the migrations before each command would take a second. Nothing is done twice: all statements failed, or none.
    await applyMigrations(persistTo);
    return executeOnFolder(persistTo, statements);
  }
}

/** Runs them on the deployed database. All of the statements read, or all of them write. `words`: more for wrangler. */
export async function executeRemote(
  statements: readonly Statement[],
  words: readonly string[] = [],
): Promise<unknown[][]> {
  const sql = statements.map(toSqlText).join("\n");
  // wrangler returns no rows for a file; it does for a command, but every process of the machine can see that. So all
  // writes, which may contain a sealed secret, go through a file.
  if (/^\s*SELECT\b/i.test(sql)) return runRemote([...words, "--command", sql]);
  const folder = mkdtempSync(join(tmpdir(), "waybill-admin-"));
  const file = join(folder, "statements.sql");
  try {
    writePrivate(file, sql);
    return await runRemote([...words, "--file", file]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The rows of each statement, read from what wrangler prints with --json. */
async function runRemote(source: readonly string[]): Promise<unknown[][]> {
  // By its binding: the name of the database is the operator's choice.
  const stdout = await runWrangler(["d1", "execute", "DB", "--remote", "--json", "--yes", ...source]);
  const parsed = resultsSchema.parse(JSON.parse(stdout.slice(Math.max(0, stdout.indexOf("[")))));
  return parsed.map(({ results }) => results);
}
