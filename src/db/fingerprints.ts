// Fingerprints of the secrets that a database was set up with: under others its keys and credentials are useless.
import { insertInto, type Statement, statement } from "./statement.ts";

/** Rows with `name` and `value`; the table also holds other facts about the database. */
export const SELECT_FINGERPRINTS = statement("SELECT name, value FROM meta");

export function insertFingerprint(name: string, fingerprint: string): Statement {
  return insertInto("meta", { name, value: fingerprint });
}
