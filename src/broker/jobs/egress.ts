// What leaves the object: payloads in answers, to carriers and to webhook senders. A turn of the object sends so much and no more
// (core's TurnBudget); the rest is put together in the next turns, one tenant after the other, so that it never stands in memory together.
import { TakingTurns } from "../../core/scheduling/taking-turns.ts";
import { TurnBudget } from "../../core/scheduling/turn-budget.ts";
import { log } from "../../log.ts";

/** What is to leave, and what it takes. */
interface Sized<T> {
  readonly value: T | Promise<T>;
  readonly bytes: number;
}

type Task = () => void | Promise<void>;

interface Send {
  readonly mostBytes: number;
  /** Puts it together and sends it. Never throws. */
  readonly go: (isLater: boolean) => void;
}

export class Egress {
  readonly budget = new TurnBudget();
  readonly #waiting = new TakingTurns<Send>();
  #tasks = new Set<Task>();
  #isTimerSet = false;
  #tasksFirst = true;

  /**
   * Puts together what is to leave, at once or in the first turn that has room for it, and counts it. `compose` runs in one piece;
   * `isLater`: other calls may have come in between, so that what was read before is not true any more.
   */
  leave<T>(tenantId: string, mostBytes: number, compose: (isLater: boolean) => Sized<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const go = (isLater: boolean): void => {
        try {
          const { value, bytes } = compose(isLater);
          this.count(bytes);
          resolve(value);
        } catch (error) {
          reject(error);
        }
      };
      if (this.#waiting.isEmpty && this.budget.fits(mostBytes)) go(false);
      else {
        this.#waiting.add(tenantId, { mostBytes, go });
        this.#awaitNextTurn();
      }
    });
  }

  /** May something of up to so many bytes leave in this turn? Who is told no asks for another look by `again`. */
  fits(mostBytes: number): boolean {
    return this.budget.fits(mostBytes);
  }

  /** Something has left. */
  count(bytes: number): void {
    this.budget.spend(bytes);
    this.#awaitNextTurn();
  }

  /** Runs a task in the next turn: once, however often it is asked for. */
  again(task: Task): void {
    this.#tasks.add(task);
    this.#awaitNextTurn();
  }

  nextTurn(): Promise<void> {
    return new Promise((resolve) => this.again(resolve));
  }

  /** A timer of zero comes when what this turn has started is on its way. */
  #awaitNextTurn(): void {
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    setTimeout(() => this.#begin(), 0);
  }

  #begin(): void {
    this.#isTimerSet = false;
    this.budget.renew();
    // Either could use up every turn.
    if (this.#tasksFirst) this.#runTasks();
    this.#release();
    if (!this.#tasksFirst) this.#runTasks();
    this.#tasksFirst = !this.#tasksFirst;
    if (!this.#waiting.isEmpty) this.#awaitNextTurn();
  }

  #release(): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (!this.budget.fits(next.mostBytes)) return;
      this.#waiting.take();
      next.go(true);
    }
  }

  #runTasks(): void {
    const tasks = this.#tasks;
    this.#tasks = new Set();
    for (const task of tasks) {
      const run = async (): Promise<void> => task();
      run().catch((error: unknown) => log("task_failed", { error: String(error) }));
    }
  }
}
