// Times that a request gives, and an answer shows again.
import * as z from "zod";

/** In another offset the last hours of 9999 are of a year that RFC 3339 cannot write. */
const YEAR_10000_MS = Date.UTC(10_000, 0);

/** RFC 3339, with any offset. */
export const givenTimeSchema = z.iso
  .datetime({ offset: true })
  .refine((text) => Date.parse(text) < YEAR_10000_MS, "must be before the year 10000");
