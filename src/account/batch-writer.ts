// One kept batch on its way into D1. A line that D1 refuses for what it says is set aside, so that it holds up nothing;
// an outage is thrown, for the account to try again.
import { type UsageLine, usageLineSchema } from "../contract/usage.ts";
import { isRefusedContent, writeUsage } from "../db/usage.ts";
import type { KeptBatch } from "./store.ts";

/** A constraint says the same each time, unless a migration ran meanwhile: three refusals are believed. */
const REFUSALS_MAX = 3;

export interface ParkedLine {
  readonly line: unknown;
  readonly reason: string;
}

/** Brings the batch into D1 and answers the lines that D1 must not or will not take. Throws when D1 does not answer. */
export async function writeBatch(db: D1Database, tenantId: string, batch: KeptBatch): Promise<ParkedLine[]> {
  const { good, parked } = sortOut(batch.lines);
  const write = (lines: readonly UsageLine[]) => writeUsage(db, tenantId, batch.broker, batch.through, lines);
  const reason = await writeUnlessRefused(() => write(good));
  if (reason === null) return parked;
  const taken: UsageLine[] = [];
  for (const line of good) {
    const refusal = await writeUnlessRefused(() => write([line]));
    if (refusal === null) taken.push(line);
    else parked.push({ line, reason: refusal });
  }
  // Nothing but bad lines: the broker's position moves all the same.
  if (taken.length === 0) await write([]);
  return parked;
}

function sortOut(lines: readonly unknown[]): { good: UsageLine[]; parked: ParkedLine[] } {
  const good: UsageLine[] = [];
  const parked: ParkedLine[] = [];
  for (const line of lines) {
    const parsed = usageLineSchema.safeParse(line);
    if (parsed.success) good.push(parsed.data);
    else parked.push({ line, reason: parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ") });
  }
  return { good, parked };
}

/** Null when written; the reason when D1 refused the content as often as it takes to believe it. */
async function writeUnlessRefused(write: () => Promise<void>): Promise<string | null> {
  for (let refusals = 1; ; refusals += 1) {
    try {
      await write();
      return null;
    } catch (error) {
      if (!isRefusedContent(error)) throw error;
      if (refusals >= REFUSALS_MAX) return String(error);
    }
  }
}
