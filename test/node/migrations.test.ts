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

describe("the migration that brings the management API", () => {
  it("gives an endpoint whose slug is a word of its paths another slug, and the audit says so", () => {
    const db = new DatabaseSync(":memory:");
    const isBefore = (name: string): boolean => name < "0012";
    migrate(db, isBefore);
    db.exec(
      "INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) VALUES ('t', 't', 1, '', 1)",
    );
    const insert = db.prepare("INSERT INTO endpoints (id, tenant_id, slug, created_at) VALUES (?, 't', ?, 1)");
    insert.run("00000000000000aa", "serverless");
    insert.run("00000000000000bb", "Billing");
    insert.run("00000000000000cc", "ocr");
    migrate(db, (name) => !isBefore(name));
    const slugs = db.prepare("SELECT slug FROM endpoints ORDER BY id").all();
    expect(slugs.map(({ slug }) => slug)).toEqual(["serverless-00000000000000aa", "Billing-00000000000000bb", "ocr"]);
    expect(db.prepare("SELECT object_id, changes FROM audit_lines ORDER BY object_id").all()).toEqual([
      {
        object_id: "00000000000000aa",
        changes: '[{"field":"slug","old":"serverless","new":"serverless-00000000000000aa"}]',
      },
      { object_id: "00000000000000bb", changes: '[{"field":"slug","old":"Billing","new":"Billing-00000000000000bb"}]' },
    ]);
  });

  it("lets no row into the table of unmet expectations, so that a statement can undo its batch", () => {
    const db = new DatabaseSync(":memory:");
    migrate(db, () => true);
    const expectation = "INSERT INTO unmet_expectations SELECT 'version' WHERE NOT EXISTS (SELECT 1 WHERE ?)";
    expect(() => db.prepare(expectation).run(1)).not.toThrow();
    expect(() => db.prepare(expectation).run(0)).toThrow("CHECK constraint failed: unmet_expectation");
  });
});

describe("the migration that tells an operator's prices", () => {
  it("takes upstreams that a tenant's own key has added for the tenant's, and all others for an operator's", () => {
    const db = new DatabaseSync(":memory:");
    const isBefore = (name: string): boolean => name < "0018";
    migrate(db, isBefore);
    db.exec(
      `INSERT INTO tenants (id, name, waiting_max, sealed_webhook_secret, created_at) VALUES ('t', 't', 1, '', 1);
       INSERT INTO endpoints (id, tenant_id, slug, created_at) VALUES ('ep', 't', 'ep', 1);`,
    );
    const key = db.prepare(
      "INSERT INTO api_keys (id, tenant_id, digest, scopes, name, created_at) VALUES (?, 't', ?, ?, '', 1)",
    );
    const upstream = db.prepare(
      `INSERT INTO upstreams (id, endpoint_id, url, dialect, slots, tier, rate_kind, created_at)
       VALUES (?, 'ep', 'http://x', 'http', 1, 'l4', 'flex', 1)`,
    );
    const line = db.prepare(
      "INSERT INTO audit_lines (tenant_id, at, key_id, action, object_id, changes) VALUES ('t', 1, ?, 'upstream.create', ?, '[]')",
    );
    for (const [id, scopes] of [
      ["own", "jobs,manage"],
      ["operators", "manage,admin"],
    ] as const) {
      key.run(id, "0".repeat(64), scopes);
      upstream.run(id);
      line.run(id, id);
    }
    upstream.run("typed");
    migrate(db, (name) => !isBefore(name));
    const rows = db.prepare("SELECT id, priced_by_operator AS byOperator FROM upstreams ORDER BY id").all();
    expect(rows.map(({ id, byOperator }) => [id, byOperator])).toEqual([
      ["operators", 1],
      ["own", 0],
      ["typed", 1],
    ]);
  });
});
