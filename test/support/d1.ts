// D1 that is away, where every call fails, D1 that is watched, and what a call costs it: for the objects, the edge and the test alike.
import { env } from "cloudflare:workers";
import { vi } from "vitest";

/** D1 fails every call until `heal`. */
export function breakD1(): { readonly calls: () => number; readonly heal: () => void } {
  const fail = () => {
    throw new Error("D1 is unreachable");
  };
  const database: D1Database = Object.getPrototypeOf(env.DB);
  const spies = [vi.spyOn(database, "batch"), vi.spyOn(database, "prepare")];
  for (const spy of spies) spy.mockImplementation(fail);
  return {
    calls: () => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0),
    heal: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

/** Notes the SQL of every statement from now on, until the mocks are restored. Each is run once. */
export function watchD1(): string[] {
  const database: D1Database = Object.getPrototypeOf(env.DB);
  const { prepare } = database;
  const statements: string[] = [];
  vi.spyOn(database, "prepare").mockImplementation(function (this: D1Database, sql) {
    statements.push(sql);
    return prepare.call(this, sql);
  });
  return statements;
}

/** Rows that D1 reads and writes for a call, by its own meter. */
export async function metered<T>(
  call: () => Promise<T>,
): Promise<{ readonly answer: T; readonly read: number; readonly written: number }> {
  const database: D1Database = Object.getPrototypeOf(env.DB);
  const statement: D1PreparedStatement = Object.getPrototypeOf(env.DB.prepare("SELECT 1"));
  const batches = vi.spyOn(database, "batch");
  const reads = vi.spyOn(statement, "all");
  const answer = await call();
  const answers = [...batches.mock.results, ...reads.mock.results].map(({ value }) => value);
  const metas = (await Promise.all(answers)).flat().map(({ meta }: { readonly meta: D1Meta }) => meta);
  batches.mockRestore();
  reads.mockRestore();
  const sum = (of: (meta: D1Meta) => number) => metas.reduce((total, meta) => total + of(meta), 0);
  return { answer, read: sum(({ rows_read }) => rows_read), written: sum(({ rows_written }) => rows_written) };
}
