// The rows of an export as statements that D1 takes: none longer than its bound, and not too many or too large ones at once.
import { createHash } from "node:crypto";
import { EXPORTED_TABLES, type ExportRow } from "../contract/manage/export.ts";
import { restoreRow, restoreVersion } from "../db/export.ts";
import { dropPieces, keepPiece } from "../db/importing.ts";
import type { Statement } from "../db/statement.ts";
import { toSqlText } from "./sql-text.ts";

/** D1's own bound of a statement. */
export const STATEMENT_MAX_BYTES = 100_000;
/** A piece of a value, so that there is room for the rest of its statement. */
const PIECE_MAX_BYTES = 80_000;
/** Statements of one call: a local database takes no more values at once. */
const LOCAL_AT_ONCE = 500;
/** A call of a deployed one takes wrangler some seconds, whatever is in it: a million lines of the bill are 200 of them. */
const REMOTE_AT_ONCE = 5_000;
/** SQL of one call: D1 has 30 s for it. */
const BYTES_AT_ONCE = 5_000_000;

/** The rows, each after those that it refers to. */
export function inOrder(rows: readonly ExportRow[]): readonly ExportRow[] {
  return EXPORTED_TABLES.flatMap((table) => rows.filter((row) => row.table === table));
}

/** Names what is written: rows in their order. */
export function fingerprintOf(rows: readonly ExportRow[]): string {
  const digest = createHash("sha256");
  for (const row of rows) digest.update(`${JSON.stringify(row)}\n`);
  return digest.digest("hex");
}

/** Statements of one call, of whole items: no value is in the database in part when a call has ended. */
export interface Batch {
  readonly statements: readonly Statement[];
  /** So many items are written with it and all before it. */
  readonly items: number;
  readonly isLast: boolean;
}

/**
 * All rows, and then the versions of endpoints: a version rises with each row that is added to its endpoint. Each item can be
 * written again. `written`: so many items are there already.
 */
export function* batchesOf(
  rows: readonly ExportRow[],
  fingerprint: string,
  { written, isRemote }: { readonly written: number; readonly isRemote: boolean },
): Generator<Batch> {
  const atOnce = isRemote ? REMOTE_AT_ONCE : LOCAL_AT_ONCE;
  const versions = rows.filter(({ table }) => table === "endpoints");
  const items = rows.length + versions.length;
  let statements: Statement[] = [];
  let bytes = 0;
  for (let item = written; item < items; item += 1) {
    const row = rows[item];
    const version = versions[item - rows.length];
    const more = row !== undefined ? writeRow(row, fingerprint) : [restoreVersion(version?.row ?? {}, fingerprint)];
    const size = more.reduce((sum, one) => sum + bytesOf(one), 0);
    const isFull = statements.length + more.length > atOnce || bytes + size > BYTES_AT_ONCE;
    if (isFull && statements.length > 0) {
      yield { statements, items: item, isLast: false };
      statements = [];
      bytes = 0;
    }
    statements.push(...more);
    bytes += size;
  }
  yield { statements, items, isLast: true };
}

/** One statement, or the pieces of long values before it. The row itself is never there in part: JSON has to be whole. */
export function writeRow(row: ExportRow, fingerprint: string): readonly Statement[] {
  const texts = Object.entries(row.row).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  const longestFirst = texts.toSorted(([, a], [, b]) => b.length - a.length);
  const kept = new Map<string, { readonly first: number; readonly count: number }>();
  const pieces: string[] = [];
  let whole = restoreRow(row, fingerprint, kept);
  for (const [column, text] of longestFirst) {
    if (bytesOf(whole) <= STATEMENT_MAX_BYTES) break;
    const more = cut(text);
    kept.set(column, { first: pieces.length, count: more.length });
    pieces.push(...more);
    whole = restoreRow(row, fingerprint, kept);
  }
  if (pieces.length === 0) return [whole];
  return [...pieces.map((text, at) => keepPiece(fingerprint, at, text)), whole, dropPieces(fingerprint)];
}

/** Between characters, never between the two halves of one. Each piece as SQL is no longer than PIECE_MAX_BYTES. */
function cut(text: string): string[] {
  const pieces: string[] = [];
  let from = 0;
  let bytes = 0;
  let at = 0;
  for (const character of text) {
    const size = bytesAsSql(character);
    if (bytes + size > PIECE_MAX_BYTES) {
      pieces.push(text.slice(from, at));
      from = at;
      bytes = 0;
    }
    bytes += size;
    at += character.length;
  }
  pieces.push(text.slice(from));
  return pieces;
}

function bytesAsSql(character: string): number {
  // A quote is written twice.
  if (character === "'") return 2;
  // To ask for the bytes of each of a million ASCII characters takes a tenth of a second.
  return character < "\u0080" ? 1 : Buffer.byteLength(character);
}

function bytesOf(one: Statement): number {
  return Buffer.byteLength(toSqlText(one));
}
