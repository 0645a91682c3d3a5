// The numbers of a broker that may never be given twice: of entries into the queue, which purges cover, and of finishes, which is
// the order of lines. Rows tell of most; the checkpoint keeps the highest of all, because rows go and a retry wipes a finish.
import type { Job } from "../../core/job/job.ts";
import { FINISH_SEQS_RESERVED } from "../../core/limits.ts";

export class Numbers {
  #queueSeq: number;
  #finishSeq: number;
  /** What the checkpoint has, or more where a row tells of it. */
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

  /** For the checkpoint. */
  get kept(): { readonly queueSeq: number; readonly finishSeq: number } {
    return { queueSeq: this.#queueSeq, finishSeq: this.#finishSeqKept };
  }

  /** A row has these. True: its finish is a new one. */
  note({ queueSeq, finishSeq }: Pick<Job, "queueSeq" | "finishSeq">): boolean {
    this.#queueSeq = Math.max(this.#queueSeq, queueSeq);
    if (finishSeq === null || finishSeq <= this.#finishSeq) return false;
    this.#finishSeq = finishSeq;
    this.#finishSeqKept = Math.max(this.#finishSeqKept, finishSeq);
    return true;
  }

  /**
   * The next number of a finish, for one that stands in no job's row: `keep` writes the checkpoint, which reserves many at once.
   * Those that are not used leave a gap.
   */
  takeFinishSeq(keep: () => void): number {
    this.#finishSeq += 1;
    if (this.#finishSeq > this.#finishSeqKept) {
      const keptBefore = this.#finishSeqKept;
      this.#finishSeqKept = this.#finishSeq + FINISH_SEQS_RESERVED;
      try {
        keep();
      } catch (error) {
        // What is not written is not reserved: after a crash these numbers would be given twice.
        this.#finishSeqKept = keptBefore;
        throw error;
      }
    }
    return this.#finishSeq;
  }
}
