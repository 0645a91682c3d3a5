// One kept batch on its way into D1. A line that D1 refuses for what it says is set aside, so that it holds up nothing;
// an outage is thrown, for the account to try again.
import { type UsageLine, usageLineSchema } from "../contract/usage.ts";
import { POST_TIMEOUT_MS } from "../core/limits.ts";
import { within } from "../db/deadline.ts";
import { isRefusedContent, writeUsage } from "../db/usage.ts";
import type { KeptBatch, ParkedLine } from "./store.ts";

/** A constraint says the same each time, unless a migration ran meanwhile: three refusals of a line are believed. */
const REFUSALS_MAX = 3;

/** `refused`: some line is at fault, and the batch is to be tried in halves. */
export type WriteOutcome =
  | { readonly kind: "written"; readonly parked: readonly ParkedLine[] }
  | { readonly kind: "refused" };

/** Brings the batch into D1 but for the lines that are set aside. Throws when D1 does not answer. */
export async function writeBatch(db: D1Database, tenantId: string, batch: KeptBatch): Promise<WriteOutcome> {
  const { good, parked } = sortOut(batch.lines);
  // A line counts once by its key, also when a call that was given up comes through after all.
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
      // The broker's position moves past the line all the same.
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
