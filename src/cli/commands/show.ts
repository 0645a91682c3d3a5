// What commands print for people: the facts of one thing, one a line, or a table of several.
import { type Fields, fieldsOf } from "../../core/json/value.ts";
import type { Shown } from "./command.ts";

/** Columns of a table, by the heading; each value is a field of the row, or made of it. */
export type Columns = Readonly<Record<string, string | ((row: Fields) => string)>>;

/** A thing that the broker has answered with. `only`: the fields that people are shown; else all of them. */
export function showOne(answer: Fields, only?: readonly string[]): Shown {
  const facts = Object.entries(answer).filter(
    ([name]) => name !== "applied" && name !== "warning" && (only === undefined || only.includes(name)),
  );
  const isSecret = SECRETS.some((name) => name in answer);
  return {
    json: answer,
    lines: facts.map(([name, value]) => `${name}: ${wordOf(value)}`),
    notes: [...notesOf(answer), ...(isSecret ? ["Keep it now: it is not shown again."] : [])],
    isSecret,
  };
}

/** The fields of a new key or secret. */
const SECRETS = ["key", "webhookSecret", "secret"];

/** A sentence in place of facts, for an answer that has none. */
export function showDone(answer: Fields, sentence: string): Shown {
  return { json: answer, lines: [sentence], notes: notesOf(answer) };
}

/** A page of a list. `name`: the field that the rows are in. */
export function showPage(answer: Fields, name: string, columns: Columns): Shown {
  const rows = rowsOf(answer, name);
  const next = nextCursorOf(answer);
  const more = next === null ? [] : [`There are more: --cursor ${next}`];
  return { json: answer, lines: table(rows, columns), notes: more };
}

/** Where the next page or step goes on; null: this was the last one. */
export function nextCursorOf(answer: Fields): string | null {
  const cursor = fieldsOf(answer.pagination)?.nextCursor;
  return typeof cursor === "string" ? cursor : null;
}

/** The rows in a field of an answer. */
export function rowsOf(answer: Fields, name: string): Fields[] {
  const rows = answer[name];
  return (Array.isArray(rows) ? rows : []).map(fieldsOf).filter((row) => row !== null);
}

/** Rows with their columns under each other; one line says so where there are none. */
export function table(rows: readonly Fields[], columns: Columns): string[] {
  if (rows.length === 0) return ["(none)"];
  const cells = rows.map((row) =>
    Object.values(columns).map((column) => (typeof column === "string" ? wordOf(row[column]) : column(row))),
  );
  const lines = [Object.keys(columns), ...cells];
  const widths = Object.keys(columns).map((_, at) => Math.max(...lines.map((line) => line[at]?.length ?? 0)));
  return lines.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** A value as one word or more; what is not there is a dash. */
export function wordOf(value: unknown): string {
  if (value === null || value === undefined || value === "") return "-";
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join(",");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** A time of the broker's, in milliseconds since 1970, for people. */
export function timeOf(value: unknown): string {
  return typeof value === "number" ? new Date(value).toISOString() : "-";
}

/** What the broker has to say of a change: a warning, or that its object could not be reached. */
export function notesOf(answer: Fields): string[] {
  const { applied, warning } = answer;
  return [
    ...(typeof warning === "string" ? [warning] : []),
    ...(applied === false ? ["Stored. The endpoint's broker did not answer: it has the change within 5 min."] : []),
  ];
}
