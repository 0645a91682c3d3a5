// The far end of a usage line in the simulator: a tenant's account, and D1 behind it. Both may be down or lose answers.
import type { Bill } from "../../src/core/job/job.ts";
import type { Random } from "./random.ts";

export interface Line {
  readonly finishSeq: number;
  readonly tenantId: string;
  readonly source: string;
  readonly bill: Bill;
}

export interface LedgerFaults {
  readonly accountDown: number;
  readonly answerLost: number;
  readonly d1Down: number;
}

/** One tenant's account: drops what it has seen, debits, keeps the rest until D1 has taken it. */
export class FakeAccount {
  seenThrough = 0;
  debitedNanodollars = 0n;
  readonly d1 = new Map<string, Line>();
  #pending: Line[] = [];

  /** Undefined: no answer came, and the caller cannot know whether the batch was taken. */
  post(lines: readonly Line[], faults: LedgerFaults, random: Random): number | undefined {
    if (random.chance(faults.accountDown)) return undefined;
    for (const line of lines) {
      if (line.finishSeq <= this.seenThrough) continue;
      this.seenThrough = line.finishSeq;
      this.debitedNanodollars += BigInt(line.bill.amountNanodollars);
      this.#pending.push(line);
    }
    return random.chance(faults.answerLost) ? undefined : this.seenThrough;
  }

  /** Writes what is pending to D1: ON CONFLICT (tenant, source, seq) DO NOTHING. A lost answer leaves it pending. */
  flush(faults: LedgerFaults, random: Random): void {
    if (this.#pending.length === 0 || random.chance(faults.d1Down)) return;
    for (const line of this.#pending) {
      const key = `${line.tenantId}/${line.source}/${line.bill.seq}`;
      if (!this.d1.has(key)) this.d1.set(key, line);
    }
    if (!random.chance(faults.answerLost)) this.#pending = [];
  }

  get pendingCount(): number {
    return this.#pending.length;
  }
}
