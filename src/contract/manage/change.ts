// Changes of a thing, field by field, as the audit and releases store and show them.
import * as z from "zod";

export const fieldChangesSchema = z.array(z.object({ field: z.string(), old: z.unknown(), new: z.unknown() }));
