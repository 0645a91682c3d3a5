// D1 that is away, where every call fails, and D1 that is watched: for the objects, the edge and the test alike.
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
