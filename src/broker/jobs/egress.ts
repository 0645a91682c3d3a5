// Bounds what leaves the object in one turn (core's TurnBudget): payloads in answers, to carriers and to webhook senders. The rest is
// composed in the next turns, one tenant after the other, so that it is never in memory all at once.
import { TakingTurns } from "../../core/scheduling/taking-turns.ts";
import { TurnBudget } from "../../core/scheduling/turn-budget.ts";
import { log } from "../../log.ts";

/** What is to leave, and its size. */
interface Sized<T> {
  readonly value: T | Promise<T>;
  readonly bytes: number;
}

type Task = () => void | Promise<void>;

interface Send {
  readonly mostBytes: number;
  /** Composes what is to leave and sends it. Never throws. */
  readonly go: (isLater: boolean) => void;
}

export class Egress {
  readonly budget = new TurnBudget();
  readonly #waiting = new TakingTurns<Send>();
  #tasks = new Set<Task>();
  #isTimerSet = false;
  #tasksFirst = true;

  /**
   * Composes what is to leave, at once or in the first turn that has room for it, and counts it. `compose` must not
   * await; `isLater`: other calls may have run since the caller's reads, so that what it read may be outdated.
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

  /** May up to `mostBytes` more leave in this turn? A caller that receives false asks for a later look by `again`. */
  fits(mostBytes: number): boolean {
    return this.budget.fits(mostBytes);
  }

  /** Counts bytes that have left. */
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

  /** A timer of 0 ms fires when what this turn has started to send is on its way. */
  #awaitNextTurn(): void {
    if (this.#isTimerSet) return;
    this.#isTimerSet = true;
    setTimeout(() => this.#begin(), 0);
  }

  #begin(): void {
    this.#isTimerSet = false;
    this.budget.renew();
    // Tasks and waiting sends go first by turns, because either could use up the budget of every turn.
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
