// A cache of jobs as this object last wrote their rows: a job is read several times in its short life, and reading its
// row costs more than the decision. Only the store writes rows, and it updates this cache in the same turn.
import type { Job } from "../../core/job/job.ts";
import type { Place, StoredJob } from "./job-row.ts";

/** A few MB at most, by the bound of the fields. */
const JOBS_MAX = 512;
/** Jobs with larger fields are not cached: they would take memory for little, because such jobs are long. */
const FIELDS_MAX_CHARS = 2_048;
/** Nor are jobs that have ended with a longer error: 512 of the longest would take 30 MB. */
const ERROR_MAX_CHARS = 2_048;

export class RowCache {
  /** The job that was written last is last. */
  readonly #byUuid = new Map<string, StoredJob>();

  get(uuid: string): StoredJob | undefined {
    return this.#byUuid.get(uuid);
  }

  entered(stored: StoredJob, fieldsChars: number): void {
    if (fieldsChars <= FIELDS_MAX_CHARS) this.#set(stored);
  }

  /** `outputPlace` undefined: the output is where it was. */
  changed(job: Job, outputPlace?: Place | null): void {
    const hot = this.#byUuid.get(job.uuid);
    if (hot === undefined) return;
    if ((job.failure?.message.length ?? 0) > ERROR_MAX_CHARS) {
      this.forget(job.uuid);
      return;
    }
    this.#set({ ...hot, job, outputPlace: outputPlace === undefined ? hot.outputPlace : outputPlace });
  }

  forget(uuid: string): void {
    this.#byUuid.delete(uuid);
  }

  /** A transaction was rolled back, so jobs here may differ from their rows. */
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
