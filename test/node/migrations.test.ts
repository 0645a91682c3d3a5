// What a migration does to rows that are there: a deployment has them, and a fresh database has none.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";

const FOLDER = join(import.meta.dirname, "../../migrations");

/** A database after the migrations up to this one, or beginning with it. */
function migrate(db: DatabaseSync, which: (name: string) => boolean): void {
  for (const name of readdirSync(FOLDER).sort().filter(which)) db.exec(readFileSync(join(FOLDER, name), "utf8"));
}

describe("the migration that numbers endpoints", () => {
  const isBefore = (name: string): boolean => name < "0011";

  it("gives each that is there another number, and leaves its version as it is", () => {
    const db = new DatabaseSync(":memory:");
    migrate(db, isBefore);
    db.exec(
      "INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) VALUES ('t', 't', 1, '', 1)",
    );
    const insert = db.prepare("INSERT INTO endpoints (id, tenant_id, slug, created_at) VALUES (?, 't', ?, 1)");
    for (let at = 0; at < 10_000; at += 1) insert.run(`ep-${at}`, `slug-${at}`);
    migrate(db, (name) => !isBefore(name));
    const rows = db.prepare("SELECT number, version FROM endpoints").all();
    expect(new Set(rows.map(({ number }) => number)).size).toBe(10_000);
    expect(rows.filter(({ number }) => Number(number) < 1 || Number(number) > 0xffff_ffff)).toEqual([]);
    expect(new Set(rows.map(({ version }) => version))).toEqual(new Set([1]));
  });

  it("keeps the rule that a change of an endpoint raises its version", () => {
    const db = new DatabaseSync(":memory:");
    migrate(db, () => true);
    db.exec(
      "INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) VALUES ('t', 't', 1, '', 1)",
    );
    db.exec("INSERT INTO endpoints (id, tenant_id, slug, created_at) VALUES ('ep', 't', 'ep', 1)");
    db.exec("UPDATE endpoints SET paused = 1");
    expect(db.prepare("SELECT version FROM endpoints").get()).toEqual({ version: 2 });
  });
});
