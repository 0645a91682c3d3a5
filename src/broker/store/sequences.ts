// Numbers that a broker must never give twice: of entries into the queue, by which purges cover jobs, and of finishes, the order
// of lines. Rows contain most of them; the checkpoint keeps the highest, as rows go and a retry wipes a finish.
import type { Job } from "../../core/job/job.ts";
import { FINISH_SEQS_RESERVED } from "../../core/limits.ts";

export class Numbers {
  #queueSeq: number;
  #finishSeq: number;
  /** The finish number in the checkpoint, or a higher one that a row contains. */
  #finishSeqKept: number;

  constructor(kept: { readonly queueSeq: number; readonly finishSeq: number }) {
    this.#queueSeq = kept.queueSeq;
    this.#finishSeq = kept.finishSeq;
    this.#finishSeqKept = kept.finishSeq;
  }

  get queueSeq(): number {
    return this.#queueSeq;
  }

  get finishSeq(): number {
    return this.#finishSeq;
  }

  /** The numbers to write to the checkpoint. */
  get kept(): { readonly queueSeq: number; readonly finishSeq: number } {
    return { queueSeq: this.#queueSeq, finishSeq: this.#finishSeqKept };
  }

  /** Notes the numbers of a row. True: its finish is a new one. */
  note({ queueSeq, finishSeq }: Pick<Job, "queueSeq" | "finishSeq">): boolean {
    this.#queueSeq = Math.max(this.#queueSeq, queueSeq);
    if (finishSeq === null || finishSeq <= this.#finishSeq) return false;
    this.#finishSeq = finishSeq;
    this.#finishSeqKept = Math.max(this.#finishSeqKept, finishSeq);
    return true;
  }

  /**
   * Takes the next finish number for a line that stands in no job's row. `keep` writes the checkpoint, which reserves
   * many numbers at once; numbers that are not used leave a gap.
   */
  takeFinishSeq(keep: () => void): number {
    this.#finishSeq += 1;
    if (this.#finishSeq > this.#finishSeqKept) {
      const keptBefore = this.#finishSeqKept;
      this.#finishSeqKept = this.#finishSeq + FINISH_SEQS_RESERVED;
      try {
        keep();
      } catch (error) {
        // Numbers that are not written are not reserved: after a crash they would be given twice.
        this.#finishSeqKept = keptBefore;
        throw error;
      }
    }
    return this.#finishSeq;
  }
}
