// What a job that came through an OpenAI route asks of its worker, beside the body of the request, which is its input.
import type { PayloadRef } from "../json/payload-ref.ts";

export interface OpenAiRequest {
  readonly method: string;
  /** From `/v1` on, as the client wrote it: `/v1/chat/completions`. */
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
  /** Of the body; null: it has none. A body that is not JSON stands in the input as a JSON string of its base64. */
  readonly contentType: string | null;
  /** The client wants its answer as events. */
  readonly stream: boolean;
  /** The client did not ask for the usage chunk, which was asked for in its name: it must not see it. */
  readonly hidesUsage: boolean;
}

/** Is the body JSON, so that a worker can be given it as a value? */
export function isJsonType(contentType: string | null): boolean {
  return /^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(contentType ?? "");
}

/** Is the body a stream of events? */
export function isEventsType(contentType: string): boolean {
  return /^text\/event-stream\s*(?:;|$)/i.test(contentType);
}

/** Statuses whose answers have no body, by HTTP. */
export function isBodiless(status: number): boolean {
  return status === 204 || status === 205;
}

/** The input of such a job as RunPod's workers know it (docs/wire.md 2.1): JSON text around the raw body. */
export function openAiInput(request: OpenAiRequest, body: PayloadRef): (string | PayloadRef)[] {
  const { method, path, query, contentType } = request;
  const more = {
    ...(method === "POST" || contentType === null ? {} : { openai_method: method }),
    ...(query === "" ? {} : { openai_query: query }),
    ...(contentType === null || isJsonType(contentType) ? {} : { openai_content_type: contentType }),
  };
  const head = JSON.stringify({ openai_route: path, ...more }).slice(0, -1);
  return [`${head},"openai_input":`, body, "}"];
}
