// The mark of an import that has begun and not ended. While it stands the database is in parts, so no key opens anything, no broker is
// woken, and no first key is made.
import { type Statement, statement } from "./statement.ts";

/** The row of `meta` with the fingerprint of the export that is being written. */
export const MARK = "importing";
/** The row with how many of its items are written, as a number in digits. */
export const PROGRESS = "import_progress";
/** The row with the fingerprint of the last export that was written whole. */
export const IMPORTED = "imported";
/** Pieces of values that are too long for one statement begin so. */
const PIECE = "import_piece_";

/** SQL: is any import under way? */
export const IS_IMPORTING = `EXISTS (SELECT 1 FROM meta WHERE name = '${MARK}')`;

/** A caller is told to come again: an answer that a key is unknown would be remembered. */
export class ImportUnfinished extends Error {
  constructor() {
    super("the deployment is being made of an export, and takes no calls until that has ended");
  }
}

/**
 * SQL that is true while the export of this fingerprint is being written. `parameter`: where the fingerprint stands. A file of statements
 * that runs late, after a repetition has ended, must not bring back what was deleted meanwhile.
 */
export function duringImport(parameter: string): string {
  return `EXISTS (SELECT 1 FROM meta WHERE name = '${MARK}' AND value = ${parameter})`;
}

/** Sets the mark, unless another import was first. */
export function beginImport(fingerprint: string): Statement {
  return statement(`INSERT INTO meta (name, value) VALUES ('${MARK}', ?) ON CONFLICT (name) DO NOTHING`, fingerprint);
}

export function noteProgress(fingerprint: string, items: number): Statement {
  return noteDuring(fingerprint, PROGRESS, String(items));
}

/** To be run after everything else, in this order: the mark goes last. */
export function endImport(fingerprint: string): readonly Statement[] {
  return [
    noteDuring(fingerprint, IMPORTED, fingerprint),
    statement(`DELETE FROM meta WHERE name = '${PROGRESS}' AND ${duringImport("?")}`, fingerprint),
    statement(`DELETE FROM meta WHERE name = '${MARK}' AND value = ?`, fingerprint),
  ];
}

/** Keeps a piece of a value until the row that it belongs to is written. */
export function keepPiece(fingerprint: string, number: number, text: string): Statement {
  return noteDuring(fingerprint, `${PIECE}${number}`, text);
}

/** SQL for the kept piece of this number. */
export function pieceAt(number: number): string {
  return `(SELECT value FROM meta WHERE name = '${PIECE}${number}')`;
}

/** The pieces go when their row is there. */
export function dropPieces(fingerprint: string): Statement {
  const sql = `DELETE FROM meta WHERE name >= '${PIECE}' AND name < '${PIECE}:' AND ${duringImport("?")}`;
  return statement(sql, fingerprint);
}

function noteDuring(fingerprint: string, name: string, value: string): Statement {
  const sql = `INSERT INTO meta (name, value) SELECT ?1, ?2 WHERE ${duringImport("?3")}
    ON CONFLICT (name) DO UPDATE SET value = excluded.value`;
  return statement(sql, name, value, fingerprint);
}
