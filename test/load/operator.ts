// An operator with a database in a folder of its own: runs the commands as they are typed, and reads what they wrote.
import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";
import type { AdminContext } from "../../src/cli/admin-create.ts";
import { executeLocal } from "../../src/cli/d1.ts";
import { PROJECT_FOLDER } from "../../src/cli/dev-database.ts";

export interface Printed {
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes the folder and the two secrets; the database is made by the first command. */
export function makeOperator() {
  const folder = mkdtempSync(join(tmpdir(), "waybill-operator-test-"));
  const pepper = randomBytes(32).toString("base64");
  const encryptionKey = randomBytes(32).toString("base64");
  const context: AdminContext = {
    secrets: { pepper, encryptionKey },
    execute: (...statements) => executeLocal(folder, statements),
  };

  /** Runs a command of src/cli with the node that runs this test; rejects with what it printed when it fails. */
  function run(command: string, words: readonly string[], env: Record<string, string> = {}): Promise<Printed> {
    const args = [join(PROJECT_FOLDER, "src/cli", command), ...words, "--persist-to", folder];
    const secrets = { WAYBILL_PEPPER: pepper, WAYBILL_ENCRYPTION_KEY: encryptionKey };
    return promisify(execFile)(process.execPath, args, { env: { ...process.env, ...secrets, ...env } });
  }

  /** The same, with what it prints going to an open file as a shell's `>` does it. */
  async function runInto(file: number, command: string, words: readonly string[]): Promise<void> {
    const args = [join(PROJECT_FOLDER, "src/cli", command), ...words, "--persist-to", folder];
    const env = { ...process.env, WAYBILL_PEPPER: pepper, WAYBILL_ENCRYPTION_KEY: encryptionKey };
    const child = spawn(process.execPath, args, { env, stdio: ["ignore", file, "ignore"] });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`${command} ended with ${code}`);
  }

  /** Reads the database file itself: starting wrangler for each look would take most of the time of a test. */
  function rowsOf(sql: string): Record<string, unknown>[] {
    const place = join(folder, "v3", "d1", "miniflare-D1DatabaseObject");
    const file = readdirSync(place).find((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
    const database = new DatabaseSync(join(place, file ?? ""), { readOnly: true });
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  }

  const discard = () => rmSync(folder, { recursive: true, force: true });
  return { context, pepper, encryptionKey, run, runInto, rowsOf, discard };
}
