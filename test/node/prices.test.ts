// The prices that people read are those that jobs cost.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { PROJECT_FOLDER } from "../../src/cli/folders.ts";

const ROW = /^\| ([a-z0-9-]+) \| (0\.\d+) \| (0\.\d+) \|$/gm;

it("the table of docs/using.md has the newest price of every tier and kind, and no other", () => {
  const db = new DatabaseSync(":memory:");
  const folder = join(PROJECT_FOLDER, "migrations");
  for (const name of readdirSync(folder).sort()) db.exec(readFileSync(join(folder, name), "utf8"));
  const charged = db
    .prepare(
      "SELECT tier, kind, nanodollars_per_second AS price, max(effective_from) FROM gpu_rates GROUP BY tier, kind",
    )
    .all()
    .map(({ tier, kind, price }) => `${tier} ${kind} ${price}`);
  const text = readFileSync(join(PROJECT_FOLDER, "docs/using.md"), "utf8");
  const shown = [...text.matchAll(ROW)].flatMap(([, tier, flex, active]) => [
    `${tier} flex ${Math.round(Number(flex) * 1e9)}`,
    `${tier} active ${Math.round(Number(active) * 1e9)}`,
  ]);
  expect(shown.toSorted()).toEqual(charged.toSorted());
});
