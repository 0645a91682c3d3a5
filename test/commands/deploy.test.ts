// npm run deploy, as it is typed, over an account that a fake of wrangler keeps: from nothing, again, over an earlier
// release, in a build of Cloudflare's, and taken away.
import { readdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";
import { keyFingerprint } from "../../src/outbound/credentials.ts";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import {
  changesIn,
  deployEarlier,
  expectWhole,
  keyIn,
  migrationNames,
  noteId,
  STEPS,
  secretsIn,
  succeed,
} from "./deployed.ts";

let project: DeployProject;
beforeAll(async () => {
  project = await startDeployProject();
});
afterAll(() => project?.stop());
beforeEach(() => project.reset());

describe("from nothing", { timeout: 120_000 }, () => {
  it("it makes everything once, and a second run changes nothing", async () => {
    const first = await succeed(project);
    expect(changesIn(project)).toEqual(STEPS);
    expectWhole(project, first);
    expect(first).toContain("\n13 changes\n");
    const second = await succeed(project);
    expect(changesIn(project)).toEqual([]);
    expect(second).toContain("\n0 changes: all is as it should be\n");
    expectWhole(project, first + second);
    expect(await succeed(project, ["--dry-run"])).toContain("\n0 changes would be made; nothing was changed\n");
    // Both end with the same lines, in which no key stands.
    const lines = (text: string) => text.slice(text.indexOf("Try it"));
    expect(lines(second)).toBe(lines(first));
    expect(lines(first).trim().split("\n")).toHaveLength(4);
  });

  it("with --dry-run it says all of it, and changes nothing", async () => {
    const before = project.toml();
    const said = await succeed(project, ["--dry-run"]);
    expect(said.match(/^would: .+/gm)).toHaveLength(13);
    expect(said).toContain("would: create the queue dispatch-dead\n");
    expect(said).toContain("\n13 changes would be made; nothing was changed\n");
    expect(changesIn(project)).toEqual([]);
    expect(project.toml()).toBe(before);
    expect(readdirSync(project.folder)).not.toContain(".waybill");
    const done = (await succeed(project)).match(/^done: .+/gm)?.map((line) => line.replace("done", "would"));
    expect(done).toEqual(said.match(/^would: .+/gm));
  });

  it("takes other names of the first tenant and endpoint, and the names of the parts from wrangler.toml", async () => {
    const toml = project.toml();
    const named = toml
      .replace('database_name = "waybill"', "database_name = 'acme-data' # of Acme")
      .replace('bucket_name = "waybill-payloads"', 'bucket_name = "acme-payloads"');
    writeFileSync(join(project.folder, "wrangler.toml"), named);
    const line = "node src/cli/run-script.mjs src/cli/deploy.ts --name O\\'Brien --slug llm > printed";
    expect(await project.shell(line)).toMatchObject({ code: 0, stderr: "" });
    // It holds the secrets.
    const printed = join(project.folder, "printed");
    expect(keyIn(readFileSync(printed, "utf8"))).toMatch(/^wb_live_/);
    expect(statSync(printed).mode & 0o777).toBe(0o600);
    expect(Object.keys(project.account().databases)).toEqual(["acme-data"]);
    expect(Object.keys(project.account().buckets)).toEqual(["acme-payloads"]);
    expect(project.rows("SELECT name FROM tenants")).toEqual([{ name: "O'Brien" }]);
    expect(project.rows("SELECT slug FROM endpoints")).toEqual([{ slug: "llm" }]);
  });

  it("sends what the real wrangler takes", async () => {
    await succeed(project);
    const there = join(project.folder, "node_modules", "wrangler");
    renameSync(there, `${there}-fake`);
    symlinkSync(join(PROJECT_FOLDER, "node_modules", "wrangler"), there);
    try {
      const env = { CI: "1", WRANGLER_SEND_METRICS: "false", CLOUDFLARE_CF_FETCH_ENABLED: "false" };
      const dry = await project.shell("node node_modules/wrangler/bin/wrangler.js deploy --dry-run", { env });
      expect(dry.code, dry.stderr).toBe(0);
      expect(dry.stdout).toContain("env.DB (waybill)");
      expect(dry.stdout).toContain("--dry-run: exiting now.");
    } finally {
      rmSync(there);
      renameSync(`${there}-fake`, there);
    }
  });
});

describe("for an import", { timeout: 120_000 }, () => {
  const given = { PEPPER: "p".repeat(40), ENCRYPTION_KEY: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" };
  const env = { WAYBILL_PEPPER: given.PEPPER, WAYBILL_ENCRYPTION_KEY: given.ENCRYPTION_KEY };
  const WORDS = ["--for-import"];

  it("it makes all but a key and an endpoint, with the secrets that are given, also where the output is kept", async () => {
    const said = await succeed(project, WORDS, { ...env, CI: "true" });
    expect(changesIn(project)).toEqual(STEPS.filter((words) => !words.startsWith("d1 execute")));
    expect(project.account().worker?.secrets).toEqual(given);
    expect(secretsIn(said)).toEqual([]);
    expect(said).toContain("done: set PEPPER and ENCRYPTION_KEY to those of the deployment that was exported\n");
    expect(project.rows("SELECT id FROM tenants")).toEqual([]);
    const again = await succeed(project, WORDS, env);
    expect(again).toContain("\n0 changes: all is as it should be\nNow the import, which brings keys and endpoints:\n");
  });

  it("it ends in a sentence without the secrets, or where an earlier run has made others", async () => {
    expect((await project.deploy(WORDS)).stderr).toContain("WAYBILL_PEPPER is not set");
    project.reset();
    project.failOnce({ words: "d1 migrations apply DB --remote", when: "before" });
    expect((await project.deploy()).code).toBe(1);
    changesIn(project);
    const refused = await project.deploy(WORDS, { env });
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("an earlier run has made secrets of its own"),
    });
    expect(changesIn(project)).toEqual([]);
  });

  it.each(["before", "after"] as const)(
    "its secrets, whose step fails %s it is done, are set by the next run",
    async (when) => {
      project.failOnce({ words: "secret bulk", when });
      expect((await project.deploy(WORDS, { env })).code).toBe(1);
      await succeed(project, WORDS, env);
      expect(project.account().worker?.secrets).toEqual(given);
    },
  );
});

async function rememberSecrets(secrets: Record<string, string>): Promise<void> {
  for (const [name, value] of Object.entries(secrets))
    project.execute(
      `INSERT INTO meta (name, value) VALUES ('${name.toLowerCase()}', '${await keyFingerprint(value)}')`,
    );
}

describe("over a deployment that is there", { timeout: 120_000 }, () => {
  it.each([1, 11, 16, migrationCount() - 1])(
    "of a release with %i migrations, it migrates and deploys, and keeps the rest",
    async (count) => {
      const { secrets } = deployEarlier(project, count);
      await rememberSecrets(secrets);
      const said = await succeed(project);
      expect(changesIn(project)).toEqual(["d1 migrations apply DB --remote", "deploy --tag TAG"]);
      expect(secretsIn(said)).toEqual([]);
      expect(project.account().worker?.secrets).toEqual(secrets);
      expect(project.rows("SELECT id, name FROM tenants")).toEqual([{ id: "ten-1", name: "Old" }]);
      expect(project.rows("SELECT id FROM api_keys")).toEqual([{ id: "k1" }]);
      expect(project.rows("SELECT name FROM d1_migrations ORDER BY id").map(({ name }) => name)).toEqual(
        migrationNames(project),
      );
      expect(said).toContain("There is no endpoint.");
      expect(await succeed(project)).toContain("\n0 changes: all is as it should be\n");
      expect(changesIn(project)).toEqual([]);
    },
  );

  it("it deploys new code, and nothing else", async () => {
    await succeed(project);
    project.calls();
    const entry = join(project.folder, "src", "index.ts");
    const before = readFileSync(entry, "utf8");
    writeFileSync(entry, `${before}// changed`);
    try {
      expect(await succeed(project)).toContain("done: deploy the Worker\n");
      expect(changesIn(project)).toEqual(["deploy --tag TAG"]);
    } finally {
      writeFileSync(entry, before);
    }
  });

  it("that has lost its secrets it makes no others: they would end every key", async () => {
    const { secrets } = deployEarlier(project, migrationCount());
    await rememberSecrets(secrets);
    project.change(({ worker }) => {
      if (worker !== null) worker.secrets = {};
    });
    const sentence =
      "the database was set up with another PEPPER, which its keys need: give that one in WAYBILL_PEPPER";
    expect((await project.deploy()).stderr).toContain(sentence);
    const wrong = await project.deploy([], { env: { WAYBILL_PEPPER: "q".repeat(40) } });
    expect(wrong.stderr).toContain("WAYBILL_PEPPER is not the PEPPER that the database was set up with");
    const env = { WAYBILL_PEPPER: secrets.PEPPER ?? "", WAYBILL_ENCRYPTION_KEY: secrets.ENCRYPTION_KEY ?? "" };
    expect(secretsIn(await succeed(project, [], env))).toEqual([]);
    expect(project.account().worker?.secrets).toEqual(secrets);
  });

  it("without a key, such as of the deploy button, it makes one with the secrets that it is given", async () => {
    const { secrets } = deployEarlier(project, migrationCount());
    project.execute("DELETE FROM api_keys; DELETE FROM tenants");
    const asked = await project.deploy();
    expect(asked.stderr).toContain("it is made with PEPPER, which was set before: give that one in WAYBILL_PEPPER");
    const env = { WAYBILL_PEPPER: secrets.PEPPER ?? "", WAYBILL_ENCRYPTION_KEY: secrets.ENCRYPTION_KEY ?? "" };
    const said = await succeed(project, [], env);
    expect(secretsIn(said)).toEqual([keyIn(said), expect.stringMatching(/^whsec_/)]);
    expect(project.rows("SELECT slug FROM endpoints")).toEqual([{ slug: "first" }]);
  });

  it("from a clone that knows nothing of it, it notes the database's id, and deploys to learn where it is", async () => {
    await succeed(project);
    project.calls();
    const { databases } = project.account();
    rmSync(join(project.folder, ".waybill"), { recursive: true });
    writeFileSync(join(project.folder, "wrangler.toml"), readFileSync(join(PROJECT_FOLDER, "wrangler.toml"), "utf8"));
    const said = await succeed(project);
    expect(said.match(/^done: .+/gm)).toEqual([
      "done: write the database's id into wrangler.toml",
      "done: deploy the Worker",
    ]);
    expect(project.toml()).toContain(`database_id = "${databases.waybill}"`);
    expect(secretsIn(said)).toEqual([]);
  });
});

function migrationCount(): number {
  return readdirSync(join(PROJECT_FOLDER, "migrations")).length;
}

describe("it ends in a sentence, before anything is changed,", { timeout: 120_000 }, () => {
  it("where a queue is another Worker's", async () => {
    project.change(({ queues }) => {
      queues.dispatch = ["shop"];
    });
    for (const words of [[], ["--destroy"]])
      expect(await project.deploy(words)).toMatchObject({
        code: 1,
        stderr:
          "the queue dispatch is read by the Worker shop: give the queues of this one other names in wrangler.toml\n",
      });
    expect(changesIn(project)).toEqual([]);
  });

  it("where nobody is logged in, or several accounts could be meant", async () => {
    project.change((account) => {
      account.accounts = [
        { id: "a1", name: "Acme" },
        { id: "a2", name: "Other" },
      ];
    });
    const several = "there are several accounts: set CLOUDFLARE_ACCOUNT_ID to one of a1 (Acme), a2 (Other)\n";
    expect(await project.deploy(["--dry-run"])).toMatchObject({ code: 2, stderr: several });
    const named = await project.deploy(["--dry-run"], { env: { CLOUDFLARE_ACCOUNT_ID: "a2" } });
    expect(named.stdout).toContain("The account Other (a2), the Worker waybill\n");
    project.failOnce({ words: "whoami --json", when: "before" });
    expect((await project.deploy()).stderr).toMatch(/^wrangler is not logged in: npx wrangler login, [^\n]+\n$/);
    expect(changesIn(project)).toEqual([]);
  });

  it("where wrangler.toml names a database that this account does not have", async () => {
    const other = project
      .toml()
      .replace("00000000-0000-0000-0000-000000000000", "22222222-2222-4222-8222-222222222222");
    writeFileSync(join(project.folder, "wrangler.toml"), other);
    for (const words of [[], ["--destroy"]])
      expect(await project.deploy(words)).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("but this account has no database waybill: choose the right account"),
      });
    expect(changesIn(project)).toEqual([]);
  });

  it("where the address of the deployment would carry the key in clear", async () => {
    const plain = project.toml().replace('PUBLIC_URL = ""', 'PUBLIC_URL = "http://waybill.example.com"');
    writeFileSync(join(project.folder, "wrangler.toml"), plain);
    const { code, stderr } = await project.deploy();
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "PUBLIC_URL must be an https: URL: each call carries the key\n",
    });
    expect(project.calls()).toEqual([]);
  });

  it("where it would show secrets, and the output is kept; a later deploy shows none", async () => {
    const env = { CI: "true" };
    const refused = await project.deploy([], { env });
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("this would show secrets") });
    expect(changesIn(project)).toEqual([]);
    await succeed(project);
    expect(await succeed(project, [], env)).toContain("\n0 changes: all is as it should be\n");
  });

  it("where npm has taken an option for its own: --dry-run would else deploy", async () => {
    const { code, stderr } = await project.deploy([], { env: { npm_config_dry_run: "true" } });
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: "npm has taken --dry-run for itself: put -- before all options, as in npm run deploy -- --dry-run\n",
    });
    expect(project.calls()).toEqual([]);
  });
});

describe("--destroy", { timeout: 120_000 }, () => {
  it("names what is lost, and deletes it when the name is typed; then a deployment can be made anew", async () => {
    const clean = project.toml();
    await succeed(project);
    project.calls();
    const dry = await succeed(project, ["--destroy", "--dry-run"]);
    expect(dry).toContain("(1 tenants, 1 endpoints, 0 lines of the bill)");
    const refused = await project.deploy(["--destroy"], { input: "yes\n" });
    expect(refused).toMatchObject({ code: 1, stderr: "nothing was deleted\n" });
    expect((await project.deploy(["--destroy"])).stderr).toBe("nothing was deleted\n");
    expect(changesIn(project)).toEqual([]);
    const done = await project.deploy(["--destroy"], { input: "waybill\n" });
    expect(done).toMatchObject({ code: 0, stderr: "" });
    for (const part of [
      "the Worker waybill",
      "the bucket waybill-payloads",
      "the database waybill",
      "the queue dispatch",
    ])
      expect(done.stdout).toContain(`deleted: ${part}\n`);
    expect(project.account()).toMatchObject({ databases: {}, buckets: {}, queues: {}, worker: null });
    expect(project.toml()).toBe(clean);
    expect(readdirSync(join(project.folder, ".waybill"))).toEqual([]);
    expect(await succeed(project, ["--destroy"])).toContain("0 changes: nothing of it is there\n");
    expectWhole(project, await succeed(project));
  });

  it("leaves a bucket with objects, says so, and goes on when it is empty", async () => {
    await succeed(project);
    const fill = (objects: number) =>
      project.change(({ buckets }) => {
        const bucket = buckets["waybill-payloads"];
        if (bucket !== undefined) bucket.objects = objects;
      });
    fill(2);
    const left = await project.deploy(["--destroy"], { input: "waybill\n" });
    expect(left).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^still there: the bucket waybill-payloads, which holds objects/),
    });
    expect(project.account()).toMatchObject({ databases: {}, queues: {}, worker: null });
    fill(0);
    expect(await project.deploy(["--destroy"], { input: "waybill\n" })).toMatchObject({ code: 0 });
    expect(project.account().buckets).toEqual({});
  });
});

describe("in a build of Cloudflare's, such as that of the deploy button,", { timeout: 120_000 }, () => {
  const env = { WORKERS_CI: "1" };

  it("it makes the queues without a binding, migrates and deploys, and neither makes nor prints a secret", async () => {
    const { secrets } = deployEarlier(project, 1);
    project.change((account) => {
      account.queues = { dispatch: [], webhooks: [] };
      account.buckets = { "waybill-payloads": { rules: [], objects: 0 } };
    });
    noteId(project);
    const said = await succeed(project, [], env);
    expect(changesIn(project)).toEqual([
      "queues create dispatch-dead",
      "queues create webhooks-dead",
      "r2 bucket lifecycle add waybill-payloads orphans --expire-days 30",
      "d1 migrations apply DB --remote",
      "deploy",
    ]);
    expect(secretsIn(said)).toEqual([]);
    expect(project.account().worker?.secrets).toEqual(secrets);
    expect(said).toContain("Deployed waybill triggers");
  });

  it("it tells what its token may not do, and deploys all the same", async () => {
    deployEarlier(project, migrationCount());
    noteId(project);
    project.failOnce({ words: "queues info dispatch", when: "before" });
    const said = await succeed(project, [], env);
    expect(said).toContain(
      "could not create the queue dispatch: A request to the Cloudflare API (/accounts/a1/x) failed.",
    );
    expect(changesIn(project)).toEqual(["d1 migrations apply DB --remote", "deploy"]);
    expect(await project.deploy(["--destroy"], { env })).toMatchObject({ code: 2 });
  });
});
