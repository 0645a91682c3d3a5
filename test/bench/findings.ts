// What the bench has found: figures with the bounds that they are held to. Pure, so that a test can show it.
import { percentile } from "../support/figures.ts";

/** A measured figure. `key` names it in the last line. Without a bound it is only shown. */
export interface Finding {
  readonly key: string;
  readonly figure: number;
  readonly atMost?: number;
  readonly atLeast?: number;
}

/** The sentence about a figure that misses its bound; null: it keeps it. A figure that is no number misses any bound. */
export function complaintOf({ key, figure, atMost, atLeast }: Finding): string | null {
  if (atMost !== undefined && !(figure <= atMost))
    return `${key} is ${figure.toFixed(3)}, and must be at most ${atMost}.`;
  if (atLeast !== undefined && !(figure >= atLeast)) {
    return `${key} is ${figure.toFixed(3)}, and must be at least ${atLeast}.`;
  }
  return null;
}

/** The middle one of the figures of all rounds, of an even number the lower of two: one disturbed round does not move it. */
export function medianOf(rounds: readonly number[]): number {
  return percentile(rounds, 0.5);
}

/** The figures of all rounds and their median, as a line below a table. */
export function roundsLine(key: string, rounds: readonly number[]): string {
  const shown = rounds.map((figure) => figure.toFixed(2)).join("  ");
  return `  ${key} of each round: ${shown}; median ${medianOf(rounds).toFixed(2)}`;
}
