// Facts about a database as a whole, for its deploy, export and import.
import { statement } from "./statement.ts";

/** The names of the files of migrations that wrangler has applied, the newest last. */
export const SELECT_APPLIED = statement("SELECT name FROM d1_migrations ORDER BY id");

/** The endpoint that was there first, and still is. */
export const SELECT_FIRST_SLUG = statement(
  "SELECT slug FROM endpoints WHERE deleted_at IS NULL ORDER BY created_at, id LIMIT 1",
);

/** How much would be lost with the database. */
export const SELECT_SIZES = statement(
  `SELECT (SELECT count(*) FROM tenants) AS tenants, (SELECT count(*) FROM endpoints) AS endpoints,
    (SELECT count(*) FROM usage_lines) AS lines`,
);
