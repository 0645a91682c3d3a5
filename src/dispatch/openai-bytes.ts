// An answer of an OpenAI server that is neither JSON nor events, such as speech. The client gets the bytes as they
// come, and the job's output is a JSON object with their type and their base64.
import type { Outcome } from "../contract/dispatch.ts";
import { failed } from "../core/job/failure.ts";
import { Base64Encoder } from "../payload/base64.ts";
import { PayloadSink } from "../payload/sink.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, classifyRead } from "./classify.ts";
import { passOn } from "./openai-answer.ts";

const BROKE_OFF = failed("bad_answer", "the answer broke off");

export async function runBytes(attempt: Attempt, answer: Answer): Promise<Outcome | null> {
  const sink = new PayloadSink(attempt.resultOptions());
  const encoder = new TextEncoder();
  const type = answer.headers.get("content-type") ?? "application/octet-stream";
  let failure = await sink.write(encoder.encode(`{"content_type":${JSON.stringify(type)},"body_base64":"`));
  const base64 = new Base64Encoder();
  try {
    for await (const bytes of answer.body) {
      await passOn(attempt, answer, bytes);
      failure ??= await sink.write(encoder.encode(base64.push(bytes)));
      if (failure !== null) return await stop(attempt, sink, classifyRead(failure, answer, attempt.isOver()));
    }
  } catch (error) {
    const outcome = classifyRead({ kind: "read_failed", message: String(error) }, answer, attempt.isOver());
    return await stop(attempt, sink, outcome);
  }
  failure ??= await sink.write(encoder.encode(`${base64.end()}"}`));
  const output = failure ?? (await sink.finish());
  if (output.kind === "inline" || output.kind === "r2") return { kind: "completed", output };
  return await stop(attempt, sink, classifyRead(output, answer, attempt.isOver()));
}

async function stop(attempt: Attempt, sink: PayloadSink, outcome: Outcome | null): Promise<Outcome | null> {
  await sink.abort();
  const { client } = attempt;
  if (client === null) return outcome;
  if (client.gone.aborted) return null;
  if (outcome === null || !client.hasBegun) return outcome;
  client.breakOff();
  if (outcome.kind === "timed_out") return outcome;
  return { kind: "cut_short", failure: "failure" in outcome ? outcome.failure : BROKE_OFF };
}
