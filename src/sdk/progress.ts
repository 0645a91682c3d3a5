// Sends the progress of a job: one report at a time, and the latest when several came meanwhile. It is for people, so none is repeated.
import { progressBody } from "./outcome.ts";

export class ProgressReports {
  readonly #send: (body: string) => Promise<unknown>;
  readonly #refuse: () => void;
  #next: string | null = null;
  #isSending = false;
  #isOver = false;

  /** `refuse` is called for progress that has no JSON. */
  constructor(send: (body: string) => Promise<unknown>, refuse: () => void) {
    this.#send = send;
    this.#refuse = refuse;
  }

  note(progress: unknown): void {
    const body = progressBody(progress);
    if (body === null) {
      this.#refuse();
      return;
    }
    this.#next = body;
    if (!this.#isSending) void this.#sendAll();
  }

  /** The job is over: what was not sent is of no use. */
  end(): void {
    this.#isOver = true;
  }

  async #sendAll(): Promise<void> {
    this.#isSending = true;
    while (this.#next !== null && !this.#isOver) {
      const body = this.#next;
      this.#next = null;
      await this.#send(body);
    }
    this.#isSending = false;
  }
}
