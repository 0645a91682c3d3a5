// The bench's side of the callers' process: starts it, gives it one round after the other, and ends it.
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { endProcess, type Started, startProgram } from "./children.ts";

/** A round: so many callers of this route at once, for so long. `proof`: a text that each good answer has. */
export const callersOrderSchema = z.object({
  url: z.url(),
  headers: z.record(z.string(), z.string()),
  body: z.string(),
  proof: z.string(),
  callers: z.int(),
  forMs: z.number(),
});
export type CallersOrder = z.infer<typeof callersOrderSchema>;

const callersDoneSchema = z.object({
  /** Calls that ended within the round. */
  calls: z.int(),
  /** These and the ones that ended after it: what processor time was spent on. */
  allCalls: z.int(),
  p50Ms: z.number(),
  p99Ms: z.number(),
  /** Processor time of the callers' process, by the time of the round: at 1 the callers would be the bottleneck. */
  cores: z.number(),
});
export type CallersDone = z.infer<typeof callersDoneSchema>;

const answerSchema = z.union([callersDoneSchema, z.object({ error: z.string() })]);

/** The process of the callers. */
export interface CallLoops {
  /** Runs one round; rejects when a call fails. */
  run(order: CallersOrder): Promise<CallersDone>;
  stop(): Promise<void>;
}

export async function startCallLoops(): Promise<CallLoops> {
  const { child }: Started = await startProgram(fileURLToPath(new URL("callers.ts", import.meta.url)));
  const ended = once(child, "exit").then((): never => {
    throw new Error("the process of the callers has ended in the middle of a round");
  });
  // Ended between two rounds it is no error of anybody's.
  ended.catch(() => undefined);
  return {
    run: async (order) => {
      child.send(order);
      const [message]: unknown[] = await Promise.race([once(child, "message"), ended]);
      const answer = answerSchema.parse(message);
      if ("error" in answer) throw new Error(answer.error);
      return answer;
    },
    stop: () => endProcess(child),
  };
}
