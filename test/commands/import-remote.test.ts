// npm run admin -- import --remote, as it is typed, over a fake of wrangler that takes no statement over D1's bound: with each of its calls
// failing once, before it was done and after.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fingerprintOf } from "../../src/cli/import-items.ts";
import type { ExportRow } from "../../src/contract/manage/export.ts";
import { keyFingerprint } from "../../src/outbound/credentials.ts";
import { fillTables } from "../node/filled-tables.ts";
import { exportOf, makeMigrated } from "../node/sqlite.ts";
import { type DeployProject, startDeployProject } from "./deploy-project.ts";
import { changesIn, deployEarlier, migrationNames, noteId } from "./deployed.ts";

const WORDS = "d1 execute DB --remote --json --yes --file PATH";
const IMPORT = "npm run -s admin -- import --file waybill.ndjson --remote";

let project: DeployProject;
let rows: readonly ExportRow[];
let env: Record<string, string>;

beforeAll(async () => {
  project = await startDeployProject();
  const db = makeMigrated();
  fillTables(db, 5_000);
  rows = await exportOf(db);
});

afterAll(() => project?.stop());

beforeEach(async () => {
  project.reset();
  const { secrets } = deployEarlier(project, migrationNames(project).length);
  const { PEPPER = "", ENCRYPTION_KEY = "" } = secrets;
  env = { WAYBILL_PEPPER: PEPPER, WAYBILL_ENCRYPTION_KEY: ENCRYPTION_KEY };
  project.execute("DELETE FROM api_keys; DELETE FROM tenants");
  noteId(project);
  const prints = { pepper: await keyFingerprint(PEPPER), encryption_key: await keyFingerprint(ENCRYPTION_KEY) };
  const migration = migrationNames(project).at(-1);
  const head = { waybill: "export", format: 1, migration, tenant: null, at: "2027-01-01T00:00:00Z", secrets: prints };
  const lines = [head, ...rows, { end: true, rows: rows.length }].map((line) => JSON.stringify(line));
  writeFileSync(join(project.folder, "waybill.ndjson"), `${lines.join("\n")}\n`);
});

async function stored(): Promise<string> {
  const [id = ""] = Object.values(project.account().databases);
  const db = new DatabaseSync(join(project.accountFolder, `${id}.sqlite`), { readOnly: true });
  try {
    return fingerprintOf(await exportOf(db));
  } finally {
    db.close();
  }
}

const writes = () => changesIn(project).filter((words) => words === WORDS).length;

describe("an import into a deployed database", { timeout: 120_000 }, () => {
  it("takes three calls, and the database exports the same", async () => {
    expect(await project.shell(IMPORT, { env })).toMatchObject({ code: 0 });
    expect(writes()).toBe(3);
    expect(await stored()).toBe(fingerprintOf(rows));
  });

  const failures = [0, 1, 2].flatMap((behind) => (["before", "after"] as const).map((when) => ({ behind, when })));
  it.each(failures)("of which one fails $when it is done, $behind behind the first, goes on there", async (failure) => {
    project.failOnce({ words: WORDS, ...failure });
    const failed = await project.shell(IMPORT, { env });
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain(`The network was down ${failure.when} it was done`);
    const { code, stderr } = await project.shell(IMPORT, { env });
    expect(code).toBe(0);
    const isBegun = failure.behind > 0 || failure.when === "after";
    const isWhole = failure.behind === 2 && failure.when === "after";
    expect(stderr.includes("It went on where an earlier run had ended.")).toBe(isBegun && !isWhole);
    expect(stderr.includes("All of it is there already: nothing was written.")).toBe(isWhole);
    // A call that was done is repeated only where nobody could know.
    expect(writes()).toBe(failure.when === "before" ? 4 : 3);
    expect(await stored()).toBe(fingerprintOf(rows));
    expect(project.rows("SELECT name FROM meta ORDER BY name").map(({ name }) => name)).toEqual([
      ...["encryption_key", "imported", "pepper"],
    ]);
  });
});
