// Figures of the bench as rows of a table.
import { percentile } from "../support/figures.ts";

/** What was measured on one route, ms. */
export interface Row {
  readonly name: string;
  readonly figuresMs: readonly number[];
}

/** p50, p90 and p99 of each row, under a title. */
export function table(title: string, rows: readonly Row[]): string {
  const width = Math.max(title.length, ...rows.map(({ name }) => name.length + 2));
  const cell = (text: string) => text.padStart(9);
  const head = [title.padEnd(width), ...["p50 ms", "p90 ms", "p99 ms", "number"].map(cell)].join(" ");
  const lines = rows.map(({ name, figuresMs }) => {
    const shares = [0.5, 0.9, 0.99].map((share) => cell(percentile(figuresMs, share).toFixed(2)));
    return [`  ${name}`.padEnd(width), ...shares, cell(String(figuresMs.length))].join(" ");
  });
  return [head, ...lines].join("\n");
}
