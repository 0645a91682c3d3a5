// Jobs as this object last wrote their rows: a job is looked at several times in its short life, and reading its row costs more
// than the decision. Only the store writes rows, and it says so here in the same turn.
import type { Job } from "../../core/job/job.ts";
import type { Place, StoredJob } from "./job-row.ts";

/** A few MB at most, by the bound of the fields. */
const JOBS_MAX = 512;
/** Larger ones would take memory for little: their jobs are long. */
const FIELDS_MAX_CHARS = 2_048;

export class RowCache {
  /** The one that was written last is last. */
  readonly #byUuid = new Map<string, StoredJob>();

  get(uuid: string): StoredJob | undefined {
    return this.#byUuid.get(uuid);
  }

  entered(stored: StoredJob, fieldsChars: number): void {
    if (fieldsChars <= FIELDS_MAX_CHARS) this.#set(stored);
  }

  /** `outputPlace` undefined: it is where it was. */
  changed(job: Job, outputPlace?: Place | null): void {
    const hot = this.#byUuid.get(job.uuid);
    if (hot === undefined) return;
    this.#set({ ...hot, job, outputPlace: outputPlace === undefined ? hot.outputPlace : outputPlace });
  }

  forget(uuid: string): void {
    this.#byUuid.delete(uuid);
  }

  /** What was written is not sure to stand: a transaction was rolled back. */
  forgetAll(): void {
    this.#byUuid.clear();
  }

  #set(stored: StoredJob): void {
    this.#byUuid.delete(stored.job.uuid);
    const [oldest] = this.#byUuid.size >= JOBS_MAX ? this.#byUuid.keys() : [];
    if (oldest !== undefined) this.#byUuid.delete(oldest);
    this.#byUuid.set(stored.job.uuid, stored);
  }
}
