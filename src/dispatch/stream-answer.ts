// An upstream's answer that streams: its chunks go to the job's log as they come, and together they are the output.
import type { Outcome } from "../contract/dispatch.ts";
import type { StreamFormat } from "../core/sse/events.ts";
import { type Parsed, StreamParser } from "../core/sse/stream-parser.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, classifyRead } from "./classify.ts";
import { StreamIntake } from "./stream-intake.ts";

type StreamEnd = Extract<Parsed, { readonly kind: "end" | "broken" }>;

/** Reads the answer to its end; null when the lease was lost meanwhile. */
export async function runStream(attempt: Attempt, answer: Answer, format: StreamFormat): Promise<Outcome | null> {
  const intake = new StreamIntake(attempt, answer);
  const parser = new StreamParser(format);
  try {
    for await (const bytes of answer.body) {
      const last = await takeParts(intake, parser.push(bytes));
      if (last?.kind === "end") return await intake.finish();
      const refusal = last === null ? intake.refusal() : badJson(last.message, attempt, answer);
      if (refusal !== undefined) return await intake.stop(refusal);
    }
    const last = await takeParts(intake, parser.end());
    return last?.kind === "broken" ? await intake.stop(badJson(last.message, attempt, answer)) : await intake.finish();
  } catch (error) {
    return await intake.stop(classifyRead({ kind: "read_failed", message: String(error) }, answer, attempt.isOver()));
  }
}

/** Takes all that was found up to what ends the stream, and returns that; null: the stream goes on. */
async function takeParts(intake: StreamIntake, parts: readonly Parsed[]): Promise<StreamEnd | null> {
  for (const part of parts) {
    if (part.kind === "chunk") await intake.take(part.text);
    else if (part.kind === "piece") await intake.takePiece(part.json, part.isLast);
    else return part;
  }
  return null;
}

function badJson(message: string, attempt: Attempt, answer: Answer): Outcome | null {
  return classifyRead({ kind: "bad_json", message }, answer, attempt.isOver());
}
