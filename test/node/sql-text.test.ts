// Values as SQL text, for the one way to a database that takes no parameters: SQLite must read them as it reads bound ones.
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, it } from "vitest";
import { toSqlText } from "../../src/cli/sql-text.ts";
import { insertInto, type SqlValue, type Statement } from "../../src/db/statement.ts";

const database = new DatabaseSync(":memory:");

afterAll(() => {
  database.close();
});

/** The rows as the text gives them, and as they are where the values are bound. */
function bothWays(statement: Statement): { readonly text: unknown[]; readonly bound: unknown[] } {
  return {
    text: database.prepare(toSqlText(statement)).all(),
    bound: database.prepare(statement.sql).all(...statement.params),
  };
}

describe("a statement as text", () => {
  it.each<[string, SqlValue]>([
    ["quotes that would end the text", "O'Brien'); DROP TABLE tenants; --"],
    ["quotes alone", "''''"],
    ["double quotes and backslashes", "\"\\' \\"],
    ["question marks, which are no parameters", "? ?1 ?2 what?"],
    ["marks of a replacement", "$& $1 $` $'"],
    ["comments", "a -- b /* c */"],
    ["lines and semicolons", "a;\nb;\r\n"],
    ["letters of any script", "é 日本 \u202e \u2028 🦀"],
    ["no character", ""],
    ["text that looks like a number", "007"],
    ["text that looks like nothing", "NULL"],
    ["zero", 0],
    ["a number below zero", -1],
    ["the largest number", Number.MAX_SAFE_INTEGER],
    ["the smallest number", Number.MIN_SAFE_INTEGER],
    ["nothing", null],
  ])("has %s as SQLite binds it", (_name, value) => {
    const { text, bound } = bothWays({ sql: "SELECT ? AS value, ? AS next", params: [value, "next"] });
    expect(text).toEqual([{ value, next: "next" }]);
    expect(text).toEqual(bound);
  });

  it("has numbers as numbers and text as text", () => {
    const { text } = bothWays({ sql: "SELECT typeof(?) AS a, typeof(?) AS b, typeof(?) AS c", params: [7, "7", null] });
    expect(text).toEqual([{ a: "integer", b: "text", c: "null" }]);
  });

  it("begins no comment with a number below zero", () => {
    expect(bothWays({ sql: "SELECT 5 -? AS sum", params: [-2] }).text).toEqual([{ sum: 7 }]);
  });

  it("takes only parameters for parameters, and numbers them as SQLite does", () => {
    const sql = `SELECT ?2 AS second, '?''?' AS quoted, ? AS third, ?1 AS first, "is it?" AS named /* why? */ -- who?
      FROM (SELECT 9 AS "is it?") WHERE ?3 = 'c'`;
    const { text, bound } = bothWays({ sql, params: ["'a", "b?", "c"] });
    expect(text).toEqual([{ second: "b?", quoted: "?'?", third: "c", first: "'a", named: 9 }]);
    expect(text).toEqual(bound);
  });

  it("adds the same row as the statement with its values bound", () => {
    database.exec("CREATE TABLE notes (name TEXT, size INTEGER, gone INTEGER) STRICT");
    bothWays(insertInto("notes", { name: "it's ?", size: -7, gone: null }));
    const row = { name: "it's ?", size: -7, gone: null };
    expect(database.prepare("SELECT * FROM notes").all()).toEqual([row, row]);
  });

  it.each<[string, SqlValue[], string]>([
    ["a NUL character, at which SQLite stops reading", ["a\0b"], "must not contain a NUL character"],
    ["a fraction", [0.5], "0.5 is no whole number"],
    ["what is no number", [Number.NaN], "NaN is no whole number"],
    ["a number without an end", [Number.POSITIVE_INFINITY], "Infinity is no whole number"],
    ["a number that is not kept exactly", [2 ** 53], "9007199254740992 is no whole number"],
    ["too few values", [], "has no value for its parameter 1"],
    ["too many values", [1, 2], "has 1 parameters, not 2"],
  ])("refuses %s", (_name, params, sentence) => {
    expect(() => toSqlText({ sql: "SELECT ?", params })).toThrow(sentence);
  });
});
