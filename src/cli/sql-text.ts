// The one place where values become SQL text, because `wrangler d1 execute` takes text and no parameters, and only it
// has the operator's rights on a deployed database.
import type { SqlValue, Statement } from "../db/statement.ts";

/** Tokens that may contain a question mark or are a parameter: text, quoted names, comments, `?` and `?1`. */
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?(\d*)/g;

/** The statement with its values in place of the parameters, and a semicolon. Throws if a value cannot be written. */
export function toSqlText({ sql, params }: Statement): string {
  let largest = 0;
  const text = sql.replace(TOKEN, (token: string, digits: string | undefined) => {
    if (digits === undefined) return token;
    // Numbered as SQLite does: a bare `?` is the next after the largest so far.
    const number = digits === "" ? largest + 1 : Number(digits);
    largest = Math.max(largest, number);
    const value = params[number - 1];
    if (value === undefined) throw new Error(`the statement has no value for its parameter ${number}`);
    return literal(value);
  });
  if (largest !== params.length) throw new Error(`the statement has ${largest} parameters, not ${params.length}`);
  return `${text};`;
}

function literal(value: SqlValue): string {
  if (value === null) return "NULL";
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new Error(`${value} is no whole number that a database keeps exactly`);
    // Without brackets, a minus sign of the statement before it would make this one the start of a comment.
    return value < 0 ? `(${value})` : String(value);
  }
  // SQLite would end the statement at this character.
  if (value.includes("\0")) throw new Error("a value must not contain a NUL character");
  return `'${value.replaceAll("'", "''")}'`;
}
