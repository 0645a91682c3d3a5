// Dollars in a request of /v1.
import * as z from "zod";
import { toNanodollars } from "../../core/manage/dollars.ts";

/** A decimal text, exact to the nano-dollar, of at most so many nano-dollars, which are whole dollars. */
export function dollarsSchema(maxNanodollars: number) {
  const max = String(maxNanodollars / 1e9);
  return z
    .string()
    .regex(new RegExp(`^\\d{1,${max.length}}(?:\\.\\d{1,9})?$`), {
      error: "must be a decimal text with up to nine decimals, such as 0.00016",
      abort: true,
    })
    .refine((dollars) => toNanodollars(dollars) <= maxNanodollars, `must be at most ${max}`);
}
