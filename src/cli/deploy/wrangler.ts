// The one file that runs wrangler for npm run deploy: its commands, and how what they print is read. The forms are
// those of the release that package.json names; test/commands/deploy-wrangler.test.ts runs it against answers of
// Cloudflare's API.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import * as z from "zod";
import { messageOf } from "../../core/failure.ts";
import type { Statement } from "../../db/statement.ts";
import { executeRemote } from "../d1.ts";
import { runWrangler } from "../dev-database.ts";
import { writePrivate } from "../private-file.ts";

const accountsSchema = z.object({
  loggedIn: z.boolean(),
  accounts: z.array(z.object({ id: z.string(), name: z.string() })).default([]),
});
const databasesSchema = z.array(z.object({ uuid: z.string(), name: z.string() }));
const secretsSchema = z.array(z.object({ name: z.string() }));
const deploymentSchema = z.object({ versions: z.array(z.object({ version_id: z.string() })) });
const versionsSchema = z.array(
  z.object({ id: z.string(), annotations: z.record(z.string(), z.unknown()).nullish().default({}) }),
);
const deployedSchema = z.object({ type: z.literal("deploy"), targets: z.array(z.string()).default([]) });

export type Account = z.infer<typeof accountsSchema>["accounts"][number];

/** The accounts that the login of this machine, or the token in the environment, may use. */
export async function listAccounts(): Promise<readonly Account[]> {
  const printed = await run(["whoami", "--json"]).catch(() => '{"loggedIn":false}');
  const { loggedIn, accounts } = accountsSchema.parse(jsonIn(printed));
  if (!loggedIn)
    throw new Error("wrangler is not logged in: npx wrangler login, or set CLOUDFLARE_API_TOKEN to a token of yours");
  return accounts;
}

/** Null: the account has no such database. */
export async function findDatabase(name: string): Promise<string | null> {
  const databases = databasesSchema.parse(jsonIn(await run(["d1", "list", "--json"])));
  return databases.find((one) => one.name === name)?.uuid ?? null;
}

export async function createDatabase(name: string): Promise<void> {
  await run(["d1", "create", name]);
}

export interface NamedDatabase {
  readonly name: string;
  readonly id: string;
}

export async function deleteDatabase(database: NamedDatabase): Promise<void> {
  await withConfigOf(database, (words) => run(["d1", "delete", "DB", "--skip-confirmation", ...words]));
}

/** Runs SELECTs. */
export async function readDatabase(database: NamedDatabase, statements: readonly Statement[]): Promise<unknown[][]> {
  return withConfigOf(database, (words) => executeRemote(statements, words));
}

/** wrangler takes the id of a database from its configuration, where another may stand or none: it gets one for this call. */
async function withConfigOf<T>({ name, id }: NamedDatabase, act: (words: readonly string[]) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-"));
  try {
    const config = join(folder, "wrangler.json");
    const database = { binding: "DB", database_name: name, database_id: id };
    writePrivate(config, JSON.stringify({ name: "waybill-database", d1_databases: [database] }));
    return await act(["--config", config]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function applyMigrations(): Promise<void> {
  await run(["d1", "migrations", "apply", "DB", "--remote"]);
}

/** Does a rule delete all objects of the bucket after a time? Null: the account has no such bucket. */
export async function findExpiry(bucket: string): Promise<boolean | null> {
  const printed = await unless(/\[code: 10006\]/, run(["r2", "bucket", "lifecycle", "list", bucket]));
  if (printed === null) return null;
  const rules = printed.split(/\n\s*\n/).map((block) => new Map(labelled(block)));
  return rules.some(
    (rule) =>
      rule.get("enabled") === "Yes" &&
      rule.get("prefix") === "(all prefixes)" &&
      (rule.get("action") ?? "").includes("Expire objects"),
  );
}

export async function createBucket(bucket: string): Promise<void> {
  await run(["r2", "bucket", "create", bucket]);
}

export async function addExpiry(bucket: string, rule: string, days: number): Promise<void> {
  await run(["r2", "bucket", "lifecycle", "add", bucket, rule, "--expire-days", String(days)]);
}

/** False: it holds objects, so it is still there. */
export async function deleteBucket(bucket: string): Promise<boolean> {
  return (await unless(/\[code: 10008\]|not empty/, run(["r2", "bucket", "delete", bucket]))) !== null;
}

/** The Workers that read a queue; null: the account has no such queue. */
export async function findConsumers(queue: string): Promise<readonly string[] | null> {
  const printed = await unless(/Queue "[^"]*" does not exist/, run(["queues", "info", queue]));
  const facts = new Map(labelled(printed ?? ""));
  // wrangler takes the first queue that the API finds for the name.
  if (facts.get("Queue Name") !== queue) return null;
  const readers = (facts.get("Consumers") ?? "").split(",").map((reader) => reader.trim());
  return readers.filter((reader) => reader !== "").map((reader) => reader.replace(/^[a-z_0-9]+:/, ""));
}

export async function createQueue(queue: string): Promise<void> {
  await run(["queues", "create", queue]);
}

export async function deleteQueue(queue: string): Promise<void> {
  await run(["queues", "delete", queue]);
}

/** The names of the Worker's secrets; null: the account has no such Worker. */
export async function listSecrets(): Promise<readonly string[] | null> {
  const printed = await unless(
    /Worker "[^"]*".* not found|\[code: 10007\]/,
    run(["secret", "list", "--format", "json"]),
  );
  return printed === null ? null : secretsSchema.parse(jsonIn(printed)).map(({ name }) => name);
}

/** All of them at once, by standard input: every process of the machine can see the arguments of another. */
export async function putSecrets(values: Readonly<Record<string, string>>): Promise<void> {
  await run(["secret", "bulk"], JSON.stringify(values));
}

/** The tag that the deployed version was sent with; null: it has none, or nothing is deployed. */
export async function findTag(): Promise<string | null> {
  const status = await unless(/has no deployments|\[code: 10007\]/, run(["deployments", "status", "--json"]));
  if (status === null) return null;
  const { versions } = deploymentSchema.parse(jsonIn(status));
  const [version] = versions;
  // With a second version only a part of the calls is served by the first.
  if (version === undefined || versions.length > 1) return null;
  const known = versionsSchema.parse(jsonIn(await run(["versions", "list", "--json"])));
  const tag = known.find(({ id }) => id === version.version_id)?.annotations?.["workers/tag"];
  return typeof tag === "string" ? tag : null;
}

/** Writes into the folder what a deploy would send. */
export async function build(folder: string): Promise<void> {
  await run(["deploy", "--dry-run", "--outdir", folder]);
}

/** Resolves with what it printed. A build of Cloudflare's has told wrangler where to write of it. */
export function deployPlainly(): Promise<string> {
  return run(["deploy"]);
}

/** Resolves with what leads to the Worker: addresses, routes, schedules and queues. */
export async function deploy(tag: string): Promise<readonly string[]> {
  const folder = mkdtempSync(join(tmpdir(), "waybill-deploy-"));
  const file = join(folder, "output.ndjson");
  try {
    await run(["deploy", "--tag", tag], "", { ...process.env, WRANGLER_OUTPUT_FILE_PATH: file });
    const written = existsSync(file) ? readFileSync(file, "utf8") : "";
    const lines = written.split("\n").filter((line) => line !== "");
    const deployed = lines.map((line) => deployedSchema.safeParse(JSON.parse(line)));
    return deployed.flatMap(({ data }) => data?.targets ?? []);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** With all that its objects hold. */
export async function deleteWorker(name: string): Promise<void> {
  await run(["delete", name, "--force"]);
}

/** What a command printed, without colours. Throws the sentence of its error. */
async function run(words: readonly string[], input = "", env = process.env): Promise<string> {
  try {
    return stripVTControlCharacters(await runWrangler(words, env, input));
  } catch (error) {
    throw new Error(reasonIn(stripVTControlCharacters(messageOf(error))));
  }
}

/** wrangler frames the reason with a banner, an invitation to report a bug, and the place of its log. */
function reasonIn(printed: string): string {
  const [, after = printed] = printed.split(/\[ERROR\]/);
  const [reason = ""] = after.split(/If you think this is a bug|🪵/);
  return reason
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "")
    .join("\n");
}

/** Null: the command failed for this reason. */
async function unless(reason: RegExp, printed: Promise<string>): Promise<string | null> {
  try {
    return await printed;
  } catch (error) {
    if (reason.test(messageOf(error))) return null;
    throw error;
  }
}

/** What is printed before the JSON, such as a warning, is left out. */
function jsonIn(printed: string): unknown {
  return JSON.parse(printed.slice(Math.max(0, printed.search(/^[[{]/m))));
}

/** `name:  value` of each line. */
function labelled(text: string): [string, string][] {
  return [...text.matchAll(/^([A-Za-z][A-Za-z ]*):\s*(.*?)\s*$/gm)].map(([, label = "", value = ""]) => [label, value]);
}
