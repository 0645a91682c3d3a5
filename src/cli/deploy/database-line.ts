// The line of wrangler.toml that holds the id of the database. All else of the file is the operator's: comments, order
// and spaces stay.

/** The id that stands for none, with which wrangler.toml comes. */
export const NO_DATABASE_ID = "00000000-0000-0000-0000-000000000000";

const TABLE = /^\s*\[/;
const DATABASE_TABLE = /^\s*\[\[\s*d1_databases\s*\]\]/;
const ID_LINE = /^(\s*database_id\s*=\s*)(?:"[^"]*"|'[^']*')/;

/** The text with this id for the database that is bound as DB. Throws a sentence where it has no such table. */
export function withDatabaseId(text: string, id: string): string {
  const lines = text.split("\n");
  const starts = lines.flatMap((line, at) => (TABLE.test(line) ? [at] : []));
  for (const start of starts) {
    if (!DATABASE_TABLE.test(lines[start] ?? "")) continue;
    const end = starts.find((next) => next > start) ?? lines.length;
    const binding = lines.findIndex((line, at) => at > start && at < end && /^\s*binding\s*=\s*["']DB["']/.test(line));
    if (binding === -1) continue;
    const at = lines.findIndex((line, index) => index > start && index < end && ID_LINE.test(line));
    if (at === -1) lines.splice(binding + 1, 0, `database_id = "${id}"`);
    else lines[at] = (lines[at] ?? "").replace(ID_LINE, (_line, before: string) => `${before}"${id}"`);
    return lines.join("\n");
  }
  throw new Error("wrangler.toml has no [[d1_databases]] with the binding DB");
}
