// Which secrets a database was set up with: keys and credentials made under others would be useless.
import { insertInto, type Statement, statement } from "./statement.ts";

/** Rows with `name` and `value`, other facts of the database among them. */
export const SELECT_FINGERPRINTS = statement("SELECT name, value FROM meta");

export function insertFingerprint(name: string, fingerprint: string): Statement {
  return insertInto("meta", { name, value: fingerprint });
}
