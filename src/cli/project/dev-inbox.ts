// What happens while a worker runs, for the one loop that starts and ends workers: files have changed, or all is to end.

export class DevInbox {
  readonly #ending = new AbortController();
  #hasChange = false;
  #wake: () => void = () => undefined;
  #woken: Promise<void> = this.#untilWoken();

  noteChange(): void {
    this.#hasChange = true;
    this.#wakeUp();
  }

  noteEnd(): void {
    this.#ending.abort();
    this.#wakeUp();
  }

  get isEnding(): boolean {
    return this.#ending.signal.aborted;
  }

  /** Fires when all is to end. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Resolves when there is a change to take, or all is to end. */
  async something(): Promise<void> {
    while (!this.#hasChange && !this.isEnding) await this.#woken;
  }

  /** Resolves when there is a change to take. */
  async change(): Promise<void> {
    while (!this.#hasChange) await this.#woken;
  }

  /** What has changed until now is done with. */
  takeChange(): void {
    this.#hasChange = false;
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#woken = this.#untilWoken();
    wake();
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
