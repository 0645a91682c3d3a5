// Long work of calls, cut into portions: one portion a turn of the object, tenants in turn. However many such calls come
// together, any other call waits for one portion at most.
import { TakingTurns } from "../../core/scheduling/taking-turns.ts";
import type { Egress } from "./egress.ts";

export class Portions {
  readonly #egress: Pick<Egress, "again">;
  readonly #waiting = new TakingTurns<() => void>();
  /** True: this turn has had its portion. */
  #isTaken = false;
  readonly #goOn = (): void => {
    this.#isTaken = false;
    const next = this.#waiting.take();
    if (next !== undefined) this.#take(next);
  };

  constructor(egress: Pick<Egress, "again">) {
    this.#egress = egress;
  }

  /** Runs a portion in the first turn that has none, which may be this one. The portion must not await. */
  run<T>(tenantId: string, portion: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        try {
          resolve(portion());
        } catch (error) {
          reject(error);
        }
      };
      if (this.#isTaken) this.#waiting.add(tenantId, go);
      else this.#take(go);
    });
  }

  #take(go: () => void): void {
    this.#isTaken = true;
    this.#egress.again(this.#goOn);
    go();
  }
}
