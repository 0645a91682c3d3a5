// Everything of a deployment or of one tenant that is worth keeping, row by row. Left out is what only its own brokers understand: how far
// they are with settings and lines, and endpoints and providers that are being deleted.
import { EXPORTED_TABLES, type ExportedTable, type ExportRow } from "../contract/manage/export.ts";
import { duringImport, pieceAt } from "./importing.ts";
import { bound, type Database, type SqlValue, type Statement, statement } from "./statement.ts";

interface Source {
  /** Columns of the primary key, by which pages follow each other. */
  readonly key: readonly string[];
  /** SQL condition for the rows of the tenant `?1`; null: they are nobody's, and in an export of everything alone. */
  readonly ofTenant: string | null;
  readonly where?: string;
  /** Columns that name a row of another table, which must be in the export, too. */
  readonly refersTo?: { readonly [Column in string]: ExportedTable };
  /** Columns that mean something to the deployment's own objects alone. */
  readonly without?: readonly string[];
  readonly pageRows: number;
}

/** A row with an environment may have 100 KB. */
const LARGE_ROWS = 100;
/** A few hundred bytes each: D1 answers 1,000 statements of one request, so two million lines fit. */
const SMALL_ROWS = 2_000;

const OF_ENDPOINT = "endpoint_id IN (SELECT id FROM endpoints WHERE tenant_id = ?1)";
const SOURCES: Readonly<Record<ExportedTable, Source>> = {
  gpu_tiers: { key: ["id"], ofTenant: null, pageRows: SMALL_ROWS },
  gpu_rates: {
    key: ["tier", "kind", "effective_from"],
    ofTenant: null,
    refersTo: { tier: "gpu_tiers" },
    pageRows: SMALL_ROWS,
  },
  tenants: { key: ["id"], ofTenant: "id = ?1", pageRows: SMALL_ROWS },
  templates: { key: ["id"], ofTenant: "tenant_id = ?1", refersTo: { tenant_id: "tenants" }, pageRows: LARGE_ROWS },
  providers: {
    key: ["id"],
    ofTenant: "tenant_id = ?1",
    where: "deleted_at IS NULL",
    refersTo: { tenant_id: "tenants" },
    without: ["deleted_at"],
    pageRows: LARGE_ROWS,
  },
  endpoints: {
    key: ["id"],
    ofTenant: "tenant_id = ?1",
    where: "deleted_at IS NULL",
    refersTo: { tenant_id: "tenants" },
    without: ["taken_version", "deleted_at", "emptied_at"],
    pageRows: LARGE_ROWS,
  },
  releases: {
    key: ["endpoint_id", "number"],
    ofTenant: OF_ENDPOINT,
    refersTo: { endpoint_id: "endpoints" },
    pageRows: LARGE_ROWS,
  },
  upstreams: {
    key: ["id"],
    ofTenant: OF_ENDPOINT,
    refersTo: { endpoint_id: "endpoints", tier: "gpu_tiers" },
    pageRows: LARGE_ROWS,
  },
  api_keys: {
    key: ["id"],
    ofTenant: "tenant_id = ?1",
    refersTo: { tenant_id: "tenants", endpoint_id: "endpoints", tier: "gpu_tiers" },
    pageRows: SMALL_ROWS,
  },
  usage_lines: { key: ["tenant_id", "source", "seq"], ofTenant: "tenant_id = ?1", pageRows: SMALL_ROWS },
  webhook_dead_letters: {
    key: ["tenant_id", "number"],
    ofTenant: "tenant_id = ?1",
    // The bodies are in R2, and stay there.
    without: ["body_stored_at"],
    pageRows: SMALL_ROWS,
  },
  audit_lines: { key: ["number"], ofTenant: "tenant_id = ?1", pageRows: SMALL_ROWS },
};

type Row = Record<string, SqlValue>;

/** The rows in pages, in the order of EXPORTED_TABLES and of their keys. `tenantId` null: of everybody. */
export async function* readExport(db: Database, tenantId: string | null): AsyncGenerator<ExportRow[]> {
  // A row that was added meanwhile may belong to a tenant, tier or endpoint that was not there when those were read.
  const exported = new Map<ExportedTable, Set<SqlValue>>();
  for (const table of EXPORTED_TABLES) {
    const source = SOURCES[table];
    if (tenantId !== null && source.ofTenant === null) continue;
    for await (const rows of readPages(db, table, source, tenantId)) {
      const whole = rows.filter((row) => isWhole(row, source, exported));
      if (REFERRED_TO.includes(table)) {
        const ids = exported.get(table) ?? new Set();
        exported.set(table, ids);
        for (const { id = null } of whole) ids.add(id);
      }
      yield whole.map((row) => ({ table, row: dropColumns(row, source.without ?? []) }));
    }
  }
}

/** Tables whose rows others refer to by their id. */
const REFERRED_TO: readonly ExportedTable[] = ["gpu_tiers", "tenants", "endpoints"];

/** Is all that the row refers to in the export? A client's key is of no endpoint; tiers are in an export of everything alone. */
function isWhole(
  row: Row,
  { refersTo = {} }: Source,
  exported: ReadonlyMap<ExportedTable, ReadonlySet<SqlValue>>,
): boolean {
  return Object.entries(refersTo).every(([column, table]) => {
    const id = row[column] ?? null;
    return id === null || (exported.get(table)?.has(id) ?? table === "gpu_tiers");
  });
}

function dropColumns(row: Row, without: readonly string[]): Row {
  return Object.fromEntries(Object.entries(row).filter(([column]) => !without.includes(column)));
}

async function* readPages(
  db: Database,
  table: ExportedTable,
  { key, ofTenant, where = "true", pageRows }: Source,
  tenantId: string | null,
): AsyncGenerator<Row[]> {
  const columns = key.join(", ");
  const own = tenantId === null || ofTenant === null ? "?1 IS NULL" : ofTenant;
  const places = key.map((_, at) => `?${at + 2}`).join(", ");
  let after: SqlValue[] | null = null;
  while (true) {
    const beyond: string = after === null ? "true" : `(${columns}) > (${places})`;
    const sql = `SELECT * FROM ${table} WHERE ${own} AND ${where} AND ${beyond} ORDER BY ${columns} LIMIT ${pageRows}`;
    const asked = statement(sql, tenantId, ...(after ?? []));
    const { results }: { readonly results: Row[] } = await bound(db, asked).all<Row>();
    if (results.length > 0) yield results;
    const last: Row | undefined = results.at(-1);
    if (last === undefined || results.length < pageRows) return;
    after = key.map((column) => last[column] ?? null);
  }
}

/** How many pieces of a column's value stand in the database already, and the number of the first (keepPiece). */
export type KeptPieces = ReadonlyMap<string, { readonly first: number; readonly count: number }>;

/**
 * Writes a row of an export while that is being imported, unless the row is there: an earlier run has written it, or it is one of the
 * tiers and prices that every deployment begins with. The value of a column in `kept` is put together of its pieces.
 */
export function restoreRow({ table, row }: ExportRow, fingerprint: string, kept: KeptPieces = new Map()): Statement {
  const columns = Object.keys(row);
  for (const column of columns) if (!/^[a-z_]+$/.test(column)) throw new Error(`${column} is no column of ${table}`);
  const params: SqlValue[] = [];
  const values = columns.map((column) => {
    const pieces = kept.get(column);
    if (pieces !== undefined)
      return Array.from({ length: pieces.count }, (_, at) => pieceAt(pieces.first + at)).join(" || ");
    params.push(row[column] ?? null);
    return "?";
  });
  // Of all constraints only the key may be broken: OR IGNORE would leave out a row that breaks any of them.
  const sql = `INSERT INTO ${table} (${columns.join(", ")}) SELECT ${values.join(", ")} WHERE ${duringImport("?")}
    ON CONFLICT (${SOURCES[table].key.join(", ")}) DO NOTHING`;
  return statement(sql, ...params, fingerprint);
}

/** Gives an endpoint the version that it had. Its broker here has nothing yet, and gets its settings with its first call. */
export function restoreVersion({ id = null, version = null }: ExportRow["row"], fingerprint: string): Statement {
  const sql = `UPDATE endpoints SET version = ?1, taken_version = ?1
    WHERE id = ?2 AND (version <> ?1 OR taken_version <> ?1) AND ${duringImport("?3")}`;
  return statement(sql, version, id, fingerprint);
}
