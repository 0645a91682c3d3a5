// What wrangler.toml says about the deployment, the one line of it that npm run deploy writes, and a digest of what
// would be sent.
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import * as z from "zod";
import { PROJECT_FOLDER } from "../folders.ts";
import { checkAddress } from "../where.ts";
import { withDatabaseId } from "./database-line.ts";
import type { Names } from "./plan.ts";
import { build } from "./wrangler.ts";

const CONFIG_FILE = join(PROJECT_FOLDER, "wrangler.toml");

const text = z.string().default("");
/** As wrangler reads the file, whose own sentences are better where it is no configuration. */
const configSchema = z.object({
  name: text,
  account_id: z.string().optional(),
  d1_databases: z.array(z.object({ binding: text, database_name: text, database_id: text })).default([]),
  r2_buckets: z.array(z.object({ binding: text, bucket_name: text })).default([]),
  queues: z
    .object({
      producers: z.array(z.object({ queue: z.string().optional() })).default([]),
      consumers: z.array(z.object({ queue: z.string(), dead_letter_queue: z.string().optional() })).default([]),
    })
    .prefault({}),
  vars: z.record(z.string(), z.unknown()).default({}),
  assets: z.object({ directory: z.string().optional() }).optional(),
});

export interface Config {
  readonly names: Names;
  /** Null: whichever the login may use. */
  readonly accountId: string | null;
  /** The address that the operator has given the deployment; null: the one that wrangler deploy names. */
  readonly publicUrl: string | null;
  /** The database's id as it is written. */
  readonly databaseId: string;
  readonly assets: string | null;
}

/** Throws a sentence where a name is missing that is needed to find the thing again. */
export async function readDeployConfig(): Promise<Config> {
  // Imported here, because it takes half a second to load, and --help should not wait for it.
  const { unstable_readConfig: readConfig } = await import("wrangler");
  const config = configSchema.parse(readConfig({ config: CONFIG_FILE }));
  const database = config.d1_databases.find(({ binding }) => binding === "DB");
  const bucket = config.r2_buckets.find(({ binding }) => binding === "PAYLOADS");
  const { producers, consumers } = config.queues;
  const queues = [
    ...producers.map(({ queue }) => queue),
    ...consumers.flatMap((one) => [one.queue, one.dead_letter_queue]),
  ];
  const publicUrl = config.vars.PUBLIC_URL;
  return {
    names: {
      worker: needed(config.name, "name"),
      database: needed(database?.database_name ?? "", "database_name of DB"),
      bucket: needed(bucket?.bucket_name ?? "", "bucket_name of PAYLOADS"),
      queues: [...new Set(queues)].filter((queue) => queue !== undefined),
    },
    accountId: config.account_id ?? null,
    // The first key goes there.
    publicUrl: typeof publicUrl === "string" && publicUrl !== "" ? checkAddress("PUBLIC_URL", publicUrl) : null,
    databaseId: database?.database_id ?? "",
    assets: config.assets?.directory ?? null,
  };
}

function needed(name: string, what: string): string {
  if (name === "") throw new Error(`wrangler.toml has no ${what}`);
  return name;
}

/** The names of the files of migrations, in their order. */
export function migrationFiles(): readonly string[] {
  return readdirSync(join(PROJECT_FOLDER, "migrations"))
    .filter((name) => name.endsWith(".sql"))
    .sort();
}

/** Writes the database's id into wrangler.toml, and nothing else of it. */
export function noteDatabaseId(id: string): void {
  writeFileSync(CONFIG_FILE, withDatabaseId(readFileSync(CONFIG_FILE, "utf8"), id));
}

/**
 * Names what a deploy would send, its code, pages and settings, so that a deployment that was sent the same is left
 * alone. It is short, because the tag of a version may not be long.
 */
export async function tagOfBuild({ assets }: Config, databaseId: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-build-"));
  try {
    await build(folder);
    const digest = createHash("sha256").update(withDatabaseId(readFileSync(CONFIG_FILE, "utf8"), databaseId));
    // Neither its map nor wrangler's note beside it is a part of the code: both name folders or times of this machine.
    addFolder(digest, folder, (name) => !name.endsWith(".map") && name !== "README.md");
    if (assets !== null) addFolder(digest, join(PROJECT_FOLDER, assets), () => true);
    return `wb-${digest.digest("hex").slice(0, 20)}`;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function addFolder(digest: ReturnType<typeof createHash>, folder: string, isPart: (name: string) => boolean): void {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && isPart(file.name))
    .map((file) => join(file.parentPath, file.name));
  for (const file of files.sort())
    digest
      .update(`${relative(folder, file)}\0`)
      .update(readFileSync(file))
      .update("\0");
}
