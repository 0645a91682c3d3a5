// The row that tells the next start of the object which leases have had their grace: one for all of them, written only by a
// start that finds a lease running which has had none.
import { z } from "zod";
import { Graces } from "../../core/job/graces.ts";
import type { MeteredSql } from "./metered-sql.ts";

const givenSchema = z.array(z.tuple([z.string(), z.int()]));

export class GraceRow {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  read(): Graces {
    const row = this.#sql.all<{ given: string }>("SELECT given FROM graces WHERE one = 1")[0];
    return new Graces(row === undefined ? [] : givenSchema.parse(JSON.parse(row.given)));
  }

  /** In the turn of the start, before anything else can happen to the leases. */
  keep(graces: Graces): void {
    const given = graces.toStore();
    if (given === null) return;
    this.#sql.run(
      "INSERT INTO graces (one, given) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET given = excluded.given",
      JSON.stringify(given),
    );
  }
}
