// The row from which the next start of the object reads which leases have had their grace. One row holds all of them,
// and only a start that finds a running lease without grace writes it.
import * as z from "zod";
import { Graces } from "../../core/job/graces.ts";
import type { MeteredSql } from "./metered-sql.ts";

const givenSchema = z.array(z.tuple([z.string(), z.int()]));

export class GraceRow {
  readonly #sql: MeteredSql;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
  }

  read(): Graces {
    return new Graces(this.#sql.readOne("graces", "given", givenSchema) ?? []);
  }

  /** Called in the turn of the start, before anything else can happen to the leases. */
  keep(graces: Graces): void {
    const given = graces.toStore();
    if (given !== null) this.#sql.writeOne("graces", "given", given);
  }
}
