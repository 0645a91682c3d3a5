// What the tests of npm run deploy ask of a project that it was typed in.
import { readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import type { DeployProject } from "./deploy-project.ts";
import { CREATE_MIGRATIONS } from "./fake-wrangler.ts";

const SECRET = /wb_live_\w+|whsec_\S+|(?:PEPPER|ENCRYPTION_KEY): \S+/g;
const READS =
  /^(?:whoami|d1 list|r2 bucket lifecycle list|queues info|secret list|deployments|versions)|--command$|--dry-run/;

/** The calls since the last look that changed something, in their order. */
export function changesIn(project: DeployProject): string[] {
  return project
    .calls()
    .map(({ words }) => words)
    .filter((words) => !READS.test(words));
}

export const secretsIn = (text: string) => text.match(SECRET) ?? [];

/** The key that was shown. */
export function keyIn(text: string): string {
  return /admin key: (\S+)/.exec(text)?.[1] ?? "";
}

/** All that there is at the end of a deployment, whatever happened on the way. `printed`: by all runs. */
export function expectWhole(project: DeployProject, printed: string): void {
  const account = project.account();
  expect(Object.keys(account.databases)).toEqual(["waybill"]);
  expect(account.buckets).toEqual({ "waybill-payloads": { rules: ["orphans"], objects: 0 } });
  const readers = ["waybill"];
  const queues = { dispatch: readers, webhooks: readers, "dispatch-dead": readers, "webhooks-dead": readers };
  expect(account.queues).toEqual(queues);
  expect(project.rows("SELECT name FROM d1_migrations ORDER BY id").map(({ name }) => name)).toEqual(
    migrationNames(project),
  );
  expect(project.rows("SELECT name FROM tenants")).toEqual([{ name: "First tenant" }]);
  expect(project.rows("SELECT scopes FROM api_keys")).toEqual([{ scopes: "jobs,manage,admin" }]);
  expect(project.rows("SELECT slug FROM endpoints")).toEqual([{ slug: "first" }]);
  expect(project.toml()).toBe(
    readFileSync(join(PROJECT_FOLDER, "wrangler.toml"), "utf8").replace(
      "00000000-0000-0000-0000-000000000000",
      account.databases.waybill ?? "",
    ),
  );
  // What was set is what was shown, once, and nothing of it stays behind.
  const { PEPPER, ENCRYPTION_KEY } = account.worker?.secrets ?? {};
  const [webhookSecret = ""] = /whsec_\S+/.exec(printed) ?? [];
  expect(secretsIn(printed).toSorted()).toEqual(
    [`PEPPER: ${PEPPER}`, `ENCRYPTION_KEY: ${ENCRYPTION_KEY}`, keyIn(printed), webhookSecret].toSorted(),
  );
  expect(webhookSecret).not.toBe("");
  const kept = join(project.folder, ".waybill", "deploy-a1-waybill.json");
  expect(JSON.parse(readFileSync(kept, "utf8"))).toEqual({ url: project.url });
  expect(statSync(kept).mode & 0o777).toBe(0o600);
}

export function migrationNames(project: DeployProject): string[] {
  return readdirSync(join(project.folder, "migrations")).sort();
}

/** Runs it to its end; resolves with what it printed. */
export async function succeed(
  project: DeployProject,
  words: readonly string[] = [],
  env: Record<string, string> = {},
): Promise<string> {
  const { code, stdout, stderr } = await project.deploy(words, { env });
  expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: "" });
  return stdout;
}

/** Each call that changes something, of a deployment that is made from nothing. */
export const STEPS = [
  "d1 create waybill",
  "r2 bucket create waybill-payloads",
  "r2 bucket lifecycle add waybill-payloads orphans --expire-days 30",
  "queues create dispatch",
  "queues create webhooks",
  "queues create dispatch-dead",
  "queues create webhooks-dead",
  "secret bulk",
  "d1 migrations apply DB --remote",
  "d1 execute DB --remote --json --yes --file PATH",
  "deploy --tag TAG",
];

/** An account with a deployment whose database has so many migrations, and a key that was made by hand. */
export function deployEarlier(
  project: DeployProject,
  migrations: number,
): { readonly secrets: Record<string, string> } {
  const secrets = { PEPPER: "p".repeat(40), ENCRYPTION_KEY: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" };
  const readers = () => ["waybill"];
  project.change((account) => {
    account.databases = { waybill: "11111111-1111-4111-8111-111111111111" };
    account.buckets = { "waybill-payloads": { rules: ["orphans"], objects: 3 } };
    account.queues = {
      dispatch: readers(),
      webhooks: readers(),
      "dispatch-dead": readers(),
      "webhooks-dead": readers(),
    };
    account.worker = { secrets, versions: [{ id: "v1", tag: null }] };
  });
  project.execute(CREATE_MIGRATIONS);
  for (const name of migrationNames(project).slice(0, migrations)) {
    project.execute(readFileSync(join(project.folder, "migrations", name), "utf8"));
    project.execute(`INSERT INTO d1_migrations (name) VALUES ('${name}')`);
  }
  project.execute(`INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at)
      VALUES ('ten-1', 'Old', 100, 's', 1);
    INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at)
      VALUES ('k1', 'ten-1', '${"d".repeat(64)}', 'jobs,admin', 'first', 1);`);
  return { secrets };
}

/** Writes the database's id into wrangler.toml. */
export function noteId(project: DeployProject): void {
  const { waybill = "" } = project.account().databases;
  const noted = project.toml().replace("00000000-0000-0000-0000-000000000000", waybill);
  writeFileSync(join(project.folder, "wrangler.toml"), noted);
}

/** Lets the account's database be the one of a broker whose state is in `folder`, which has its migrations and nothing else. */
export function shareDatabase(project: DeployProject, folder: string, url: string): void {
  const id = "11111111-1111-4111-8111-111111111111";
  project.change((account) => {
    account.url = url;
    account.databases = { waybill: id };
  });
  const place = join(folder, "v3", "d1", "miniflare-D1DatabaseObject");
  const file = readdirSync(place).find((name) => name.endsWith(".sqlite") && name !== "metadata.sqlite");
  symlinkSync(join(place, file ?? ""), join(project.accountFolder, `${id}.sqlite`));
}
