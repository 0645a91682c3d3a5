// Figures of the bench as rows of a table.
import { percentile } from "../support/figures.ts";

/** What was measured on one route, ms. */
export interface Row {
  readonly name: string;
  readonly figuresMs: readonly number[];
}

/** p50, p90 and p99 of each row, under a title. */
export function table(title: string, rows: readonly Row[]): string {
  const cellsOf = (figuresMs: readonly number[]) => [
    ...[0.5, 0.9, 0.99].map((share) => percentile(figuresMs, share).toFixed(2)),
    String(figuresMs.length),
  ];
  const lines = rows.map(({ name, figuresMs }) => ({ name, cells: cellsOf(figuresMs) }));
  return grid(title, ["p50 ms", "p90 ms", "p99 ms", "number"], lines);
}

/** Rows of texts under a title, with a head for each column. */
export function grid(
  title: string,
  heads: readonly string[],
  rows: readonly { readonly name: string; readonly cells: readonly string[] }[],
): string {
  const width = Math.max(title.length, ...rows.map(({ name }) => name.length + 2));
  const line = (name: string, cells: readonly string[]) =>
    [name.padEnd(width), ...cells.map((text, at) => text.padStart(Math.max(9, (heads[at] ?? "").length)))].join(" ");
  return [line(title, heads), ...rows.map(({ name, cells }) => line(`  ${name}`, cells))].join("\n");
}
