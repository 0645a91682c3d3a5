// The newest progress that each running handler has reported (progress_update), by the uuid of its job. It is lost when
// the object ends; the handler's next report replaces it.
import { PROGRESS_TOTAL_MAX_BYTES } from "../../core/limits.ts";

export class ProgressNotes {
  /** The newest note is last. */
  readonly #notes = new Map<string, Uint8Array>();
  #bytes = 0;

  of(uuid: string): Uint8Array | null {
    return this.#notes.get(uuid) ?? null;
  }

  /** When all of them together are too large, the oldest are dropped: their handlers' next reports replace them. */
  keep(uuid: string, output: Uint8Array): void {
    this.drop(uuid);
    this.#notes.set(uuid, output);
    this.#bytes += output.length;
    for (const oldest of this.#notes.keys()) {
      if (this.#bytes <= PROGRESS_TOTAL_MAX_BYTES) return;
      this.drop(oldest);
    }
  }

  drop(uuid: string): void {
    this.#bytes -= this.#notes.get(uuid)?.length ?? 0;
    this.#notes.delete(uuid);
  }
}
