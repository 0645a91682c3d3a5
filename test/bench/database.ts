// The database of the bench: every migration, one tenant with a key, and an endpoint for each kind of upstream call.
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { unstable_splitSqlQuery as splitSql } from "wrangler";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { type Database, runAll, statement } from "../../src/db/statement.ts";
import { NO_LIMITS, StoredRows, type StoredSecrets } from "../support/stored.ts";

/** More than the streams that run at once: what waits for a slot is no cost of the path that is measured. */
const SLOTS = 512;

/** Secrets of one run. */
export function makeSecrets(): StoredSecrets {
  return { pepper: randomBytes(32).toString("hex"), encryptionKey: randomBytes(32).toString("base64") };
}

/** Fills the database and returns the tenant's key. The endpoints have the slugs `sync`, `load` and `chat`. */
export async function fillDatabase(database: Database, secrets: StoredSecrets, upstreamUrl: string): Promise<string> {
  const folder = join(PROJECT_FOLDER, "migrations");
  const migrations = readdirSync(folder).filter((name) => name.endsWith(".sql"));
  for (const name of migrations.sort()) {
    const statements = splitSql(readFileSync(join(folder, name), "utf8")).map((sql) => statement(sql));
    await runAll(database, statements);
  }
  const rows = new StoredRows(secrets);
  const { tenantId } = await rows.tenant("Tenant of the bench", NO_LIMITS);
  const { key } = await rows.key(tenantId, ["jobs"]);
  const upstreams = [
    { slug: "sync", url: `${upstreamUrl}/work`, dialect: "http" },
    { slug: "load", url: `${upstreamUrl}/load`, dialect: "http" },
    { slug: "chat", url: upstreamUrl, dialect: "openai" },
  ] as const;
  for (const { slug, url, dialect } of upstreams) {
    const { endpointId } = rows.endpoint({ tenantId, slug });
    const price = { tier: "a4000", rateKind: "flex", slots: SLOTS } as const;
    await rows.upstream(endpointId, { url, dialect, local: false, credential: null, ...price });
  }
  await runAll(database, rows.statements);
  return key;
}
