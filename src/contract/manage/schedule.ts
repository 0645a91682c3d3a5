// Hours of a week at which workers of an endpoint are to be there, as requests give them, and as they are stored and shown.
import * as z from "zod";
import { DAYS, isTimeZone } from "../../core/fleet/schedule.ts";
import { WORKERS_MAX } from "../../core/limits.ts";
import { SCHEDULE_ENTRIES_MAX } from "../../core/manage/limits.ts";

const storedEntry = z.object({ days: z.array(z.enum(DAYS)), from: z.string(), to: z.string(), min: z.int() });
export const storedScheduleSchema = z.object({ timeZone: z.string(), entries: z.array(storedEntry) });

const entrySchema = z.strictObject({
  days: z
    .array(z.enum(DAYS))
    .min(1)
    .max(DAYS.length)
    .refine((days) => new Set(days).size === days.length, "may name each day once"),
  from: z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, "must be a time from 00:00 to 23:59, such as 08:00"),
  to: z
    .string()
    .regex(/^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/, "must be a time from 00:00 to 24:00, such as 18:00")
    .meta({ description: "One that is not after `from` is of the next day" }),
  min: z.int().min(0).max(WORKERS_MAX).meta({ description: "So many workers are there, as far as workers.max allows" }),
});

export const writtenScheduleSchema = z.strictObject({
  timeZone: z
    .string()
    .min(1)
    .max(100)
    .refine(isTimeZone, "must be a name of the IANA database, such as Europe/Berlin")
    .meta({ description: "Whose clock the times are of, such as Europe/Berlin" }),
  entries: z.array(entrySchema).min(1).max(SCHEDULE_ENTRIES_MAX),
});
