// What a job that came through an OpenAI route asks of its worker, beside the body of the request, which is its input.
import type { PayloadRef } from "../json/payload-ref.ts";

export interface OpenAiRequest {
  readonly method: string;
  /** The path from `/v1` on, as the client wrote it: `/v1/chat/completions`. */
  readonly path: string;
  /** The query with its `?`, or empty. */
  readonly query: string;
  /** The body's type; null: there is no body. A body that is not JSON is in the input as a JSON string of base64. */
  readonly contentType: string | null;
  /** The client asked for its answer as a stream of events. */
  readonly stream: boolean;
  /** Headers of the request that its server gets; left out in jobs of earlier releases. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The usage chunk was asked for in the client's name, but not by the client, which must not receive it. */
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

/** The input of such a job in the form for RunPod's workers (docs/wire.md 2.1): JSON text around the raw body. */
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
