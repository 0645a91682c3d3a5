// Queue messages. They are wake-ups and carry no facts: the broker decides what there is to do.
import * as z from "zod";

export const wakeMessageSchema = z.object({ endpointId: z.string().min(1).max(200) });
export type WakeMessage = z.infer<typeof wakeMessageSchema>;
