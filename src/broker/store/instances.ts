// The rows of a fleet: a record for each machine, the newest decisions of the scaler, and what is to be kept warm. One row a machine:
// each write is billed, and a machine changes some ten times in its life.
import * as z from "zod";
import { type Decision, decisionSchema } from "../../contract/fleet.ts";
import type { Instance } from "../../core/fleet/instance.ts";
import { DECISIONS_KEPT } from "../../core/fleet/limits.ts";
import { parseJson } from "../../core/json/value.ts";
import { type KeptInstance, readInstance } from "./instance-record.ts";
import type { MeteredSql } from "./metered-sql.ts";

const warmSchema = z.object({ workers: z.int(), untilMs: z.number() });
/** So many workers are to be there until then, whatever the jobs need. */
export type Warm = z.infer<typeof warmSchema>;

export class InstanceRows {
  readonly #sql: MeteredSql;
  #decisions: number;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    const [newest] = sql.all<{ number: number | null }>("SELECT max(number) AS number FROM scaling_decisions");
    this.#decisions = newest?.number ?? 0;
  }

  /** All of them; one of which not even the provider can be read stays as it is until its machine has another record. */
  read(nowMs: number): readonly KeptInstance[] {
    return this.#sql
      .all<{ id: string; record: string }>("SELECT id, record FROM instances")
      .map(({ id, record }) => readInstance(id, record, nowMs));
  }

  /** Writes what differs, and the decision that led to it, in one transaction. */
  write(
    before: ReadonlyMap<string, Instance>,
    after: ReadonlyMap<string, Instance>,
    decision: Omit<Decision, "number"> | null,
  ): void {
    const changed = [...after.values()].filter((instance) => before.get(instance.id) !== instance);
    const gone = [...before.keys()].filter((id) => !after.has(id));
    if (changed.length === 0 && gone.length === 0 && decision === null) return;
    this.#sql.transaction(() => {
      for (const instance of changed) {
        const text =
          "INSERT INTO instances (id, record) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record";
        this.#sql.run(text, instance.id, JSON.stringify(instance));
      }
      for (const id of gone) this.#sql.run("DELETE FROM instances WHERE id = ?", id);
      if (decision !== null) this.#note(decision);
    });
    if (decision !== null) this.#decisions += 1;
  }

  #note(decision: Omit<Decision, "number">): void {
    const number = this.#decisions + 1;
    const text = "INSERT INTO scaling_decisions (number, decision) VALUES (?, ?)";
    this.#sql.run(text, number, JSON.stringify({ ...decision, number }));
    this.#sql.run("DELETE FROM scaling_decisions WHERE number <= ?", number - DECISIONS_KEPT);
  }

  /**
   * The newest decisions below a number, newest first; fewer than `limit`: there are no more. One that cannot be read, such as one of a later
   * release after a step back, is left out.
   */
  decisions(belowNumber: number, limit: number): Decision[] {
    const text = "SELECT number, decision FROM scaling_decisions WHERE number < ? ORDER BY number DESC LIMIT ?";
    const found: Decision[] = [];
    for (let below = belowNumber; found.length < limit; ) {
      const rows = this.#sql.all<{ number: number; decision: string }>(text, below, limit - found.length);
      const last = rows.at(-1);
      if (last === undefined) break;
      below = last.number;
      found.push(...rows.flatMap(({ decision }) => decisionSchema.safeParse(parseJson(decision)).data ?? []));
    }
    return found;
  }

  /** Null: nothing is kept, or another release has kept it in another form. It is for a day at most, and jobs bring workers without it. */
  readWarm(): Warm | null {
    return this.#sql.readOne("warm_workers", "warm", warmSchema.nullable().catch(null));
  }

  writeWarm(warm: Warm): void {
    this.#sql.writeOne("warm_workers", "warm", warm);
  }
}
