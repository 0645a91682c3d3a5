// An upstream's answer that streams: its chunks go to the job's log as they come, and together they are the output.
import type { Outcome } from "../contract/dispatch.ts";
import { CHUNK_MAX_BYTES } from "../core/limits.ts";
import type { StreamFormat } from "../core/sse/events.ts";
import { StreamParser } from "../core/sse/stream-parser.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, classifyRead } from "./classify.ts";
import { CHUNK_TOO_LARGE, StreamIntake } from "./stream-intake.ts";

/** Reads the answer to its end; null when the lease was lost meanwhile. */
export async function runStream(attempt: Attempt, answer: Answer, format: StreamFormat): Promise<Outcome | null> {
  const intake = new StreamIntake(attempt, answer);
  const parser = new StreamParser(format);
  try {
    for await (const bytes of answer.body) {
      for (const part of parser.push(bytes)) {
        if (part.kind === "end") return await intake.finish();
        await intake.take(part.text);
      }
      // The intake measures each whole chunk. This bounds the bytes of an unfinished one, names and line ends too.
      const refusal = parser.heldBytes > 2 * CHUNK_MAX_BYTES ? CHUNK_TOO_LARGE : intake.refusal();
      if (refusal !== undefined) return await intake.stop(refusal);
    }
    for (const part of parser.end()) if (part.kind === "chunk") await intake.take(part.text);
    return await intake.finish();
  } catch (error) {
    return await intake.stop(classifyRead({ kind: "read_failed", message: String(error) }, answer, attempt.isOver()));
  }
}
