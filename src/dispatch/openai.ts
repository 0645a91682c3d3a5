// The dialect `openai`: a server with OpenAI's API gets the call as its client made it. RunPod endpoints that others host have
// such a route too, so their OpenAI jobs go the same way.
import type { Outcome } from "../contract/dispatch.ts";
import { OPENAI_IDLE_MS } from "../core/limits.ts";
import { isJsonType } from "../core/openai-request.ts";
import { readValue } from "../payload/envelope.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, attemptFailed, classifyBroken, classifyOpenAiStatus, classifyRead } from "./classify.ts";
import { runBytes } from "./openai-bytes.ts";
import { makeOpenAiCall, type OpenAiCall } from "./openai-call.ts";
import { runEvents } from "./openai-events.ts";

/** Runs one attempt against the server at `base`, with or without its `/v1`; null when the lease was lost meanwhile. */
export async function runOpenAi(attempt: Attempt, base: string): Promise<Outcome | null> {
  const call = await makeOpenAiCall(attempt);
  if ("ended" in call) return call.ended;
  const result = await attempt.call({
    url: `${base.replace(/\/v1$/, "")}${call.target}`,
    method: call.method,
    headers: headersOf(call),
    idleMs: OPENAI_IDLE_MS,
    ...(call.body === null
      ? {}
      : { body: call.body, contentLength: call.sizeBytes, provable: isJsonType(call.contentType) }),
  });
  if (result.kind === "aborted") return leftOrLost(attempt);
  if (result.kind !== "response") return classifyBroken(result, attempt.isOver());
  try {
    const bad = await classifyOpenAiStatus(result, attempt.deps.clock.now());
    if (bad !== null) return bad;
    const type = result.headers.get("content-type") ?? "application/json";
    if (/^text\/event-stream\s*(?:;|$)/i.test(type)) {
      const promptBytes = call.sizeBytes;
      return await runEvents(attempt, result, { target: call.target, hidesUsage: call.hidesUsage, promptBytes });
    }
    return await (isJsonType(type) ? runJson(attempt, result) : runBytes(attempt, result));
  } finally {
    result.close();
  }
}

function headersOf({ contentType, stream }: OpenAiCall): Record<string, string> {
  const accept = stream ? "text/event-stream" : "*/*";
  return contentType === null ? { accept } : { accept, "content-type": contentType };
}

async function runJson(attempt: Attempt, answer: Answer): Promise<Outcome | null> {
  const read = await readValue(answer.body, attempt.resultOptions());
  if (read.kind !== "ok") {
    if (answer.body.broken === "aborted") return leftOrLost(attempt);
    if (read.kind === "bad_json" && answer.body.bytesRead === 0) return attemptFailed("the upstream's answer is empty");
    return classifyRead(read, answer, attempt.isOver());
  }
  return { kind: "completed", output: read.payload };
}

/** The call was dropped: because its client has gone, and the job ends with it, or because the lease is lost. */
function leftOrLost({ client }: Attempt): Outcome | null {
  return client?.gone.aborted === true ? { kind: "abandoned", tokens: null } : null;
}
