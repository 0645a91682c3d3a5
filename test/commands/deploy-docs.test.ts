// Every command of docs/deploy.md and of the README's section on it, cut out of the text and typed in a project whose
// wrangler is the fake.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import { changesIn, expectWhole, secretsIn } from "./deployed.ts";
import { commandsOf, DocumentedBlocks, MOVE_SECTION } from "./documented-blocks.ts";

let project: DeployProject;
beforeAll(async () => {
  project = await startDeployProject();
});
afterAll(() => project?.stop());
beforeEach(() => project.reset());

const MINUTES_2 = { timeout: 120_000 };

const documented = new DocumentedBlocks(() => project, "docs/deploy.md");
const type = (section: string, index: number, input = "", env: Record<string, string> = {}) =>
  documented.type(section, index, { input, env });

it("a deployment in one command, its upgrade, and its end", MINUTES_2, async () => {
  const made = await type("In one command", 0);
  expectWhole(project, made);
  expect(await type("In one command", 1)).toContain("\n0 changes would be made; nothing was changed\n");
  expect(await type("In one command", 2)).toContain("The account Acme (a1)");
  changesIn(project);
  expect(await type("Upgrade", 0)).toContain("\n0 changes: all is as it should be\n");
  expect(changesIn(project)).toEqual([]);
  expect(await type("Take it away", 0, "waybill\n")).toContain("deleted: the database waybill\n");
  expect(project.account()).toMatchObject({ databases: {}, buckets: {}, queues: {}, worker: null });
});

it("the README's two lines", MINUTES_2, async () => {
  const [lines = ""] = commandsOf("README.md").get("Deploy") ?? [];
  const { code, stdout } = await project.shell(`set -e\n${lines}`);
  expect(code).toBe(0);
  expectWhole(project, stdout);
});

it(
  "the same by hand, which npm run deploy then takes over, also from a machine that knows nothing of it",
  MINUTES_2,
  async () => {
    await type("By hand", 0);
    const id = project.account().databases.waybill ?? "";
    const noted = project.toml().replace("00000000-0000-0000-0000-000000000000", id);
    writeFileSync(join(project.folder, "wrangler.toml"), noted);
    const made = await type("By hand", 1);
    expect(made).toMatch(/^key: wb_live_/m);
    expect(project.rows("SELECT name FROM tenants")).toEqual([{ name: "you" }]);
    changesIn(project);
    const { PEPPER = "", ENCRYPTION_KEY = "" } = project.account().worker?.secrets ?? {};
    const env = { WAYBILL_PEPPER: PEPPER, WAYBILL_ENCRYPTION_KEY: ENCRYPTION_KEY };
    const said = await type("From another machine", 0, "", env);
    expect(changesIn(project)).toEqual(["deploy --tag TAG"]);
    expect(secretsIn(said)).toEqual([]);
    // After the deploy button there is no key.
    project.execute("DELETE FROM api_keys; DELETE FROM tenants");
    expect(secretsIn(await type("From another machine", 0, "", env))).toHaveLength(2);
  },
);

it("no block of commands is left out", () => {
  documented.expectTyped((section) => section !== MOVE_SECTION);
});
