// The dialect `http`: the job is posted as JSON, and the answer, as one JSON value, is the output.
import type { Outcome } from "../contract/dispatch.ts";
import { streamFormat } from "../core/sse/stream-parser.ts";
import { readValue } from "../payload/envelope.ts";
import type { Attempt } from "./attempt.ts";
import { type Answer, attemptFailed, classifyRead, type Suspicion } from "./classify.ts";
import { runStream } from "./stream-answer.ts";

/** Runs one attempt; null when the lease was lost meanwhile. */
export function runHttp(attempt: Attempt): Promise<Outcome | Suspicion | null> {
  return attempt.postJob<Outcome | null>(attempt.url, async (answer) => {
    const format = streamFormat(answer.headers.get("content-type"));
    if (format !== null) return await runStream(attempt, answer, format);
    const read = await readValue(answer.body, attempt.resultOptions());
    if (read.kind === "ok") return { kind: "completed", output: read.payload };
    // An answer without a body is an empty output, as from a handler that returns nothing.
    if (read.kind === "bad_json" && answer.body.bytesRead === 0) {
      return isEmpty(answer) ? { kind: "completed", output: null } : attemptFailed("bad_answer", EMPTY_ERROR);
    }
    return classifyRead(read, answer, attempt.isOver());
  });
}

const EMPTY_ERROR = "the upstream closed the connection where its answer should be";

/** Does the answer announce an empty body? One that ends only with the connection may have been cut at byte one. */
function isEmpty({ status, headers }: Answer): boolean {
  const framed = headers.get("transfer-encoding") !== null || headers.get("content-length") === "0";
  return status === 204 || framed;
}
