// Writes one kept batch into D1. A line that D1 refuses for its content is set aside, so that it holds up no other
// line; an outage is thrown, and the account tries again.
import { type UsageLine, usageLineSchema } from "../contract/usage.ts";
import { POST_TIMEOUT_MS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { isRefusedContent, writeUsage } from "../db/usage.ts";
import type { KeptBatch, ParkedLine } from "./store.ts";

/** A constraint fails each time alike, unless a migration ran meanwhile: a line is parked after three refusals. */
const REFUSALS_MAX = 3;

/** `refused`: D1 refused the batch for the content of some line, and the account is to try it in halves. */
export type WriteOutcome =
  | { readonly kind: "written"; readonly parked: readonly ParkedLine[] }
  | { readonly kind: "refused" };

/** Writes the batch into D1, without the lines that are set aside. Throws when D1 does not answer. */
export async function writeBatch(db: D1Database, tenantId: string, batch: KeptBatch): Promise<WriteOutcome> {
  const { good, parked } = sortOut(batch.lines);
  // A line counts once by its key, even if a write that was given up after the deadline succeeds after all.
  const write = (lines: readonly UsageLine[]) =>
    within(POST_TIMEOUT_MS, writeUsage(db, tenantId, batch.broker, batch.through, lines), "D1");
  for (let refusals = 1; ; refusals += 1) {
    try {
      await write(good);
      return { kind: "written", parked };
    } catch (error) {
      if (!isRefusedContent(error)) throw error;
      if (batch.lines.length > 1) return { kind: "refused" };
      if (refusals < REFUSALS_MAX) continue;
      // No line is written, but the broker's position in D1 still moves past the refused one.
      await write([]);
      return { kind: "written", parked: batch.lines.map((line) => ({ line, reason: String(error) })) };
    }
  }
}

function sortOut(lines: readonly unknown[]): { readonly good: UsageLine[]; readonly parked: ParkedLine[] } {
  const good: UsageLine[] = [];
  const parked: ParkedLine[] = [];
  for (const line of lines) {
    const parsed = usageLineSchema.safeParse(line);
    if (parsed.success) good.push(parsed.data);
    else parked.push({ line, reason: parsed.error.issues.map(showIssue).join("; ") });
  }
  return { good, parked };
}

function showIssue(issue: { readonly path: readonly PropertyKey[]; readonly message: string }): string {
  return `${issue.path.map(String).join(".")}: ${issue.message}`;
}
