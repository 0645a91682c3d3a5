// npm run admin -- setup: the first tenant and key, in the database of a folder, and with them everything else by HTTP.
import { createHmac, randomBytes } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { unstable_splitSqlQuery as splitSql } from "wrangler";
import { executeOnFolder } from "../../src/cli/dev-database.ts";
import { ensureDevSecrets } from "../../src/cli/dev-secrets.ts";
import { type DevServer, launchDevServer } from "../../src/cli/dev-server.ts";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { parseApiKey } from "../../src/core/access/api-key.ts";
import { statement } from "../../src/db/statement.ts";
import { open } from "../../src/outbound/credentials.ts";
import { takePort } from "../running/port.ts";
import { type Environment, type Printed, rowsIn, runCommand } from "./operator.ts";

const secrets = ensureDevSecrets(PROJECT_FOLDER);
const folders: string[] = [];
const servers: DevServer[] = [];

afterAll(async () => {
  await Promise.all(servers.map((server) => server.stop()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "waybill-setup-test-"));
  folders.push(folder);
  return folder;
}

function setUp(folder: string, words: readonly string[] = [], env?: Environment): Promise<Printed> {
  return runCommand("waybill.ts", ["setup", ...words, "--state", folder, "--json"], env);
}

/** What a refused command prints with --json. */
function refusal(error: string): string {
  return `${JSON.stringify({ error, exitCode: 1 })}\n`;
}

describe("npm run admin -- setup", { timeout: 60_000 }, () => {
  const name = "O'Brien'); DROP TABLE tenants; --";
  const folder = makeFolder();
  let printed: Printed;
  let made: { tenantId: string; key: string; webhookSecret: string };

  beforeAll(async () => {
    printed = await setUp(folder, ["--name", name]);
    made = JSON.parse(printed.stdout);
  }, 60_000);

  it("stores a name as it was given, whatever is in it, and seals the webhook secret", async () => {
    const [row] = rowsIn(folder, `SELECT name, sealed_webhook_secret FROM tenants WHERE id = '${made.tenantId}'`);
    expect(row).toMatchObject({ name });
    const opened = await open(String(row?.sealed_webhook_secret), secrets.get("ENCRYPTION_KEY") ?? "", "webhook");
    expect(opened).toBe(made.webhookSecret);
    expect(made.webhookSecret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  });

  it("makes a key with every scope of a client, which is printed once and stored as a digest", () => {
    const [row] = rowsIn(folder, `SELECT * FROM api_keys WHERE id = '${parseApiKey(made.key)?.id}'`);
    expect(row).toMatchObject({ tenant_id: made.tenantId, scopes: "jobs,manage,admin", revoked_at: null });
    const digest = createHmac("sha256", secrets.get("PEPPER") ?? "").update(made.key);
    expect(row?.digest).toBe(digest.digest("hex"));
    expect(JSON.stringify(row)).not.toContain(made.key.split("_")[3]);
  });

  it("keeps the key beside the state, for the commands of the local broker and for npm start", () => {
    expect(JSON.parse(readFileSync(join(folder, "first.json"), "utf8"))).toMatchObject(made);
    expect(printed.stderr).toContain(`Kept in ${folder}`);
  });

  it("refuses where there is a key of the scope admin, and names it", async () => {
    await expect(setUp(folder)).rejects.toMatchObject({
      code: 1,
      stdout: "",
      stderr: refusal(
        `there is a key of the scope admin already (${parseApiKey(made.key)?.id}): npm run admin -- tenant create and key create make the others with it`,
      ),
    });
    expect(rowsIn(folder, "SELECT count(*) AS tenants FROM tenants")).toEqual([{ tenants: 1 }]);
  });

  it("works on the state of a broker that runs, whose key is then good at once; a key that has ended is no hindrance", async () => {
    await executeOnFolder(folder, [statement("UPDATE api_keys SET expires_at = 1")]);
    const server = await launchDevServer({ port: await takePort(), persistTo: folder });
    servers.push(server);
    const { key, tenantId } = JSON.parse((await setUp(folder)).stdout);
    const place = { WAYBILL_URL: server.url, WAYBILL_KEY: key };
    const { stdout } = await runCommand("waybill.ts", ["whoami", "--json"], place);
    expect(JSON.parse(stdout)).toMatchObject({ tenantId, scopes: ["jobs", "manage", "admin"], endpointIds: null });
  });
});

describe("the secrets of setup", { timeout: 60_000 }, () => {
  const folder = makeFolder();
  const pepper = randomBytes(32).toString("base64");
  const given = { WAYBILL_PEPPER: pepper, WAYBILL_ENCRYPTION_KEY: randomBytes(32).toString("base64") };

  it.each([
    [{ WAYBILL_ENCRYPTION_KEY: "oops" }, "WAYBILL_ENCRYPTION_KEY must be 32 bytes in base64"],
    [{ WAYBILL_PEPPER: "short" }, "WAYBILL_PEPPER must be at least 32 characters"],
  ])("are refused where one is malformed, before the database could remember it", async (wrong, sentence) => {
    await expect(setUp(folder, [], { ...given, ...wrong })).rejects.toMatchObject({
      stderr: expect.stringContaining(sentence),
    });
  });

  it("are refused where they are not those of this database, even without a usable key", async () => {
    await setUp(folder, [], given);
    await executeOnFolder(folder, [statement("UPDATE api_keys SET revoked_at = 1")]);
    const other = { ...given, WAYBILL_PEPPER: randomBytes(32).toString("base64") };
    await expect(setUp(folder, ["--name", "second"], other)).rejects.toMatchObject({
      stderr: refusal("the pepper is not the one that this database was set up with"),
    });
    expect(rowsIn(folder, "SELECT id FROM tenants WHERE name = 'second'")).toEqual([]);
  });
});

it("setup brings the database of an earlier release up to date before it writes", { timeout: 60_000 }, async () => {
  const folder = makeFolder();
  const isBefore = (name: string): boolean => name.endsWith(".sql") && name < "0012";
  const names = readdirSync(join(PROJECT_FOLDER, "migrations")).filter(isBefore).sort();
  const texts = names.map((name) => readFileSync(join(PROJECT_FOLDER, "migrations", name), "utf8"));
  await executeOnFolder(folder, [
    ...texts.flatMap(splitSql).map((sql) => statement(sql)),
    statement("CREATE TABLE d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TEXT)"),
    ...names.map((name) => statement("INSERT INTO d1_migrations (name, applied_at) VALUES (?, '')", name)),
  ]);
  const { key } = JSON.parse((await setUp(folder)).stdout);
  expect(rowsIn(folder, "SELECT id, endpoint_ids FROM api_keys")).toEqual([
    { id: parseApiKey(key)?.id, endpoint_ids: null },
  ]);
});
