// wrangler as npm run deploy meets it, over an account that is a folder: state.json, a SQLite file for each database,
// and a log of every call. It prints what wrangler 4.155 prints (test/commands/deploy-wrangler.test.ts holds that against
// the real one), and can fail once.
import { randomUUID } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** What the account has. */
export interface FakeAccount {
  /** Where its Worker answers. */
  url: string;
  accounts: { id: string; name: string }[];
  databases: Record<string, string>;
  buckets: Record<string, { rules: string[]; objects: number }>;
  queues: Record<string, string[]>;
  worker: { secrets: Record<string, string>; versions: { id: string; tag: string | null }[] } | null;
}

export interface FakeCall {
  readonly words: string;
  readonly failed: boolean;
}

/** Which call fails once, and whether it does its work before it does. */
export interface FakeFailure {
  readonly words: string;
  readonly when: "before" | "after";
  /** So many of these calls go well before it. */
  readonly behind?: number;
}

/** As wrangler makes the table in which it notes what is applied. */
export const CREATE_MIGRATIONS = `CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)`;

class Refused extends Error {}

const folder = process.env.FAKE_WRANGLER ?? "";
const project = process.cwd();
const words = process.argv.slice(2);
const statePath = join(folder, "state.json");

function read(): FakeAccount {
  return JSON.parse(readFileSync(statePath, "utf8"));
}

function change(act: (account: FakeAccount) => void): void {
  const account = read();
  act(account);
  writeFileSync(`${statePath}.new`, JSON.stringify(account, null, 2));
  renameSync(`${statePath}.new`, statePath);
}

function print(...lines: string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

const BANNER = "\n ⛅️ wrangler 4.155.0\n────────────────────";

/** The words without what differs at each call: folders of this machine, ids, tags and SQL. */
function named(): string {
  const plain = words.map((word) => (word.startsWith("/") ? "PATH" : word.startsWith("wb-") ? "TAG" : word));
  const sql = plain.indexOf("--command");
  return (sql === -1 ? plain : plain.slice(0, sql + 1)).join(" ");
}

function optionOf(option: string): string | undefined {
  const at = words.indexOf(option);
  return at === -1 ? undefined : words[at + 1];
}

function isDeployed(): { secrets: Record<string, string>; versions: { id: string; tag: string | null }[] } {
  const { worker } = read();
  if (worker === null)
    throw new Refused('Worker "waybill" not found.\n\nIf this is a new Worker, run `wrangler deploy` first');
  return worker;
}

const INVITATION = "  If you think this is a bug, please open an issue at: https://github.com/cloudflare/workers-sdk";

function apiError(path: string, text: string, code: number): Refused {
  return new Refused(
    `A request to the Cloudflare API (/accounts/a1/${path}) failed.\n\n  ${text} [code: ${code}]\n\n${INVITATION}`,
  );
}

/** The id of the database that the binding DB of a configuration leads to. */
function noted(): string {
  const text = readFileSync(optionOf("--config") ?? join(project, "wrangler.toml"), "utf8");
  const [, id = ""] = /"?database_id"?\s*[=:]\s*"([^"]*)"/.exec(text) ?? [];
  if (!Object.values(read().databases).includes(id))
    throw apiError(`d1/database/${id}/query`, `The database ${id} could not be found`, 7404);
  return id;
}

function openDatabase(): DatabaseSync {
  return new DatabaseSync(join(folder, `${noted()}.sqlite`));
}

function execute(): void {
  const database = openDatabase();
  const file = optionOf("--file");
  try {
    if (file !== undefined) {
      const sql = readFileSync(file, "utf8");
      for (const one of statementsIn(sql))
        if (Buffer.byteLength(one) > 100_000) throw new Error("statement too long: SQLITE_TOOBIG");
      database.exec(`BEGIN;\n${sql}\nCOMMIT;`);
      printJson([{ results: [{ "Total queries executed": 1 }], success: true, meta: {} }]);
      return;
    }
    const statements = (optionOf("--command") ?? "").split(/;\s*(?:\n|$)/).filter((sql) => sql.trim() !== "");
    printJson(statements.map((sql) => ({ results: database.prepare(sql).all(), success: true, meta: {} })));
  } catch (error) {
    printJson({ error: { text: error instanceof Error ? error.message : "", notes: [] } });
    process.exitCode = 1;
  } finally {
    database.close();
  }
}

/** Each with its semicolon. There are no comments, and a quote within a text is two. */
function statementsIn(sql: string): string[] {
  const found: string[] = [];
  let start = 0;
  let inText = false;
  for (let at = 0; at < sql.length; at += 1) {
    if (sql[at] === "'") inText = !inText;
    if (sql[at] !== ";" || inText) continue;
    found.push(sql.slice(start, at + 1));
    start = at + 1;
  }
  return found;
}

function migrate(): void {
  const database = openDatabase();
  database.exec(CREATE_MIGRATIONS);
  const applied = database
    .prepare("SELECT name FROM d1_migrations")
    .all()
    .map(({ name }) => name);
  const files = readdirSync(join(project, "migrations")).sort();
  for (const file of files.filter((name) => !applied.includes(name))) {
    database.exec(`BEGIN;\n${readFileSync(join(project, "migrations", file), "utf8")}\n`);
    database.prepare("INSERT INTO d1_migrations (name) VALUES (?)").run(file);
    database.exec("COMMIT");
  }
  database.close();
  print(BANNER, "✅ No migrations to apply!");
}

function info(queue: string): void {
  const readers = read().queues[queue];
  if (readers === undefined)
    throw new Refused(`Queue "${queue}" does not exist. To create it, run: wrangler queues create ${queue}`);
  print(BANNER, `Queue Name: ${queue}`, "Queue ID: q1", "Created On: x", "Last Modified: y", "Number of Producers: 0");
  print(`Number of Consumers: ${readers.length}`);
  if (readers.length > 0) print(`Consumers: ${readers.map((reader) => `worker:${reader}`)}`);
}

function lifecycle(bucket: string): void {
  const found = read().buckets[bucket];
  if (found === undefined)
    throw apiError(`r2/buckets/${bucket}/lifecycle`, "The specified bucket does not exist.", 10_006);
  const first = ["name:     Default Multipart Abort Rule", "enabled:  Yes", "prefix:   (all prefixes)"];
  const blocks = [[...first, "action:   Abort incomplete multipart uploads after 7 days"].join("\n")];
  for (const name of found.rules)
    blocks.push(`name:     ${name}\nenabled:  Yes\nprefix:   (all prefixes)\naction:   Expire objects after 30 days`);
  print(BANNER, `Listing lifecycle rules for bucket '${bucket}'...`, blocks.join("\n\n"));
}

function deploy(): void {
  const outdir = optionOf("--outdir");
  if (words.includes("--dry-run")) {
    mkdirSync(outdir ?? "", { recursive: true });
    writeFileSync(join(outdir ?? "", "index.js"), readFileSync(join(project, "src/index.ts")));
    writeFileSync(join(outdir ?? "", "README.md"), `built at ${Date.now()}`);
    mkdirSync(join(project, "dist", "assets", "docs"), { recursive: true });
    writeFileSync(join(project, "dist", "assets", "docs", "docs.js"), readFileSync(join(project, "src/docs/main.ts")));
    print(BANNER, "--dry-run: exiting now.");
    return;
  }
  const toml = readFileSync(join(project, "wrangler.toml"), "utf8");
  const account = read();
  const queues = [...toml.matchAll(/^(?:queue|dead_letter_queue) = "([^"]+)"/gm)].map(([, name = ""]) => name);
  for (const queue of queues)
    if (account.queues[queue] === undefined)
      throw new Refused(`Queue "${queue}" does not exist. To create it, run: wrangler queues create ${queue}`);
  const missing = ["PEPPER", "ENCRYPTION_KEY"].filter((name) => account.worker?.secrets[name] === undefined);
  if (missing.length > 0) throw new Refused(`The following required secrets have not been set: ${missing.join(", ")}`);
  openDatabase().close();
  if (account.buckets[/bucket_name = "([^"]+)"/.exec(toml)?.[1] ?? ""] === undefined)
    throw apiError("workers/scripts/waybill", "R2 bucket not found", 10_085);
  change((one) => {
    one.worker?.versions.push({ id: randomUUID(), tag: optionOf("--tag") ?? null });
    for (const [, queue = ""] of toml.matchAll(/\[\[queues\.consumers\]\]\nqueue = "([^"]+)"/g))
      one.queues[queue] = ["waybill"];
  });
  const targets = [account.url, "schedule: */5 * * * *", "Producer for dispatch", "Consumer for dispatch"];
  const output = process.env.WRANGLER_OUTPUT_FILE_PATH;
  const entry = { type: "deploy", version: 1, worker_name: "waybill", version_id: "v", targets };
  if (output !== undefined)
    appendFileSync(output, `${JSON.stringify({ type: "wrangler-session", version: 1 })}\n${JSON.stringify(entry)}\n`);
  print(BANNER, "Uploaded waybill (1.00 sec)", "Deployed waybill triggers (0.50 sec)", `  ${account.url}`);
}

/** A secret makes a version of its own, without a tag. */
function putSecrets(values: Readonly<Record<string, string>>): void {
  change((account) => {
    account.worker ??= { secrets: {}, versions: [] };
    Object.assign(account.worker.secrets, values);
    account.worker.versions.push({ id: randomUUID(), tag: null });
  });
  print(BANNER, `✨ ${Object.keys(values).length} secrets successfully created`);
}

function deleteBucket(bucket: string): void {
  if ((read().buckets[bucket]?.objects ?? 0) > 0)
    throw apiError(`r2/buckets/${bucket}`, "The bucket you tried to delete is not empty.", 10_008);
  change(({ buckets }) => delete buckets[bucket]);
  print(BANNER, `Deleted bucket ${bucket}.`);
}

function makeOnce(things: Record<string, unknown>, name: string): void {
  if (things[name] !== undefined) throw apiError(name, `${name} already exists`, 10_004);
}

/** By the words of a command, the longest first; what follows them is its argument. */
const COMMANDS: Readonly<Record<string, (name: string) => void>> = {
  "whoami --json": () => printJson({ loggedIn: true, authType: "User API Token", accounts: read().accounts }),
  "d1 list --json": () => printJson(Object.entries(read().databases).map(([name, uuid]) => ({ uuid, name }))),
  "d1 create": (name) =>
    change(({ databases }) => {
      makeOnce(databases, name);
      databases[name] = randomUUID();
    }),
  "d1 delete DB --skip-confirmation": () =>
    change(({ databases }) => {
      const id = noted();
      for (const [name, uuid] of Object.entries(databases)) if (uuid === id) delete databases[name];
    }),
  "d1 execute DB --remote --json --yes": execute,
  "d1 migrations apply DB --remote": migrate,
  "r2 bucket lifecycle list": lifecycle,
  "r2 bucket lifecycle add": (name) =>
    change(({ buckets }) => {
      const rules = buckets[name]?.rules ?? [];
      if (words.join(" ") !== `r2 bucket lifecycle add ${name} orphans --expire-days 30` || rules.length > 0)
        throw new Refused(`this rule is not expected: ${words.join(" ")}`);
      rules.push("orphans");
    }),
  "r2 bucket create": (name) =>
    change(({ buckets }) => {
      makeOnce(buckets, name);
      buckets[name] = { rules: [], objects: 0 };
    }),
  "r2 bucket delete": deleteBucket,
  "queues info": info,
  "queues create": (name) =>
    change(({ queues }) => {
      makeOnce(queues, name);
      queues[name] = [];
    }),
  "queues delete": (name) => change(({ queues }) => delete queues[name]),
  "secret list --format json": () =>
    printJson(Object.keys(isDeployed().secrets).map((name) => ({ name, type: "secret_text" }))),
  "secret bulk": () => putSecrets(JSON.parse(readFileSync(0, "utf8"))),
  "secret put": (name) => putSecrets({ [name]: readFileSync(0, "utf8").trim() }),
  login: () => print(BANNER, "Successfully logged in."),
  "deployments status --json": () => {
    const version = isDeployed().versions.at(-1);
    if (version === undefined) throw new Refused("The Worker waybill has no deployments.");
    printJson({ id: "d", versions: [{ version_id: version.id, percentage: 100 }] });
  },
  "versions list --json": () => {
    const tagged = (tag: string | null) => (tag === null ? {} : { "workers/tag": tag });
    printJson(isDeployed().versions.map(({ id, tag }) => ({ id, annotations: tagged(tag) })));
  },
  deploy,
  delete: () =>
    change((account) => {
      account.worker = null;
      for (const readers of Object.values(account.queues)) readers.length = 0;
    }),
};

/** True: this call is the one that fails, which it does once. */
function takesFailure(when: FakeFailure["when"]): boolean {
  const path = join(folder, "failure.json");
  if (!existsSync(path)) return false;
  const failure: FakeFailure = JSON.parse(readFileSync(path, "utf8"));
  if (failure.words !== named() || failure.when !== when) return false;
  const { behind = 0 } = failure;
  if (behind > 0) {
    writeFileSync(path, JSON.stringify({ ...failure, behind: behind - 1 }));
    return false;
  }
  renameSync(path, join(folder, "failed.json"));
  return true;
}

function main(): void {
  let failed = true;
  try {
    if (takesFailure("before")) throw apiError("x", "The network was down before it was done", 1);
    const typed = words.join(" ");
    const command = Object.keys(COMMANDS).find((name) => typed === name || typed.startsWith(`${name} `));
    if (command === undefined) throw new Refused(`Unknown command: ${typed}`);
    COMMANDS[command]?.(words[command.split(" ").length] ?? "");
    if (takesFailure("after")) throw apiError("x", "The network was down after it was done", 2);
    failed = process.exitCode === 1;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    process.stderr.write(
      `\n\u001b[31m✘ \u001b[41;31m[\u001b[41;97mERROR\u001b[41;31m]\u001b[0m \u001b[1m${error.message}\u001b[0m\n\n`,
    );
    process.stderr.write('🪵  Logs were written to "/root/.config/.wrangler/logs/wrangler.log"\n');
    process.exitCode = 1;
  } finally {
    appendFileSync(join(folder, "calls.ndjson"), `${JSON.stringify({ words: named(), failed })}\n`);
  }
}

if (folder !== "") main();
