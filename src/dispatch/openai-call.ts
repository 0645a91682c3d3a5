// The HTTP call to an OpenAI server for a job: as its client made it, or made from the input of a RunPod job.
import type { Outcome } from "../contract/dispatch.ts";
import { openAiCallOf } from "../contract/openai-origin.ts";
import { concatBytes } from "../core/bytes/concat.ts";
import type { PayloadRef } from "../core/json/payload-ref.ts";
import { membersOf, memberText } from "../core/json/text.ts";
import { parseJson } from "../core/json/value.ts";
import { isJsonType, type OpenAiRequest } from "../core/openai/request.ts";
import { keepsNothing, StoredFields } from "../core/openai/stored-responses.ts";
import { USAGE_ASK } from "../core/openai/stream-options.ts";
import { bytesOfBase64 } from "../payload/base64-bytes.ts";
import { spliceBody } from "../payload/splice.ts";
import type { Attempt } from "./attempt.ts";
import { rejected, storageFailed } from "./classify.ts";

export interface OpenAiCall
  extends Pick<OpenAiRequest, "method" | "contentType" | "stream" | "headers" | "hidesUsage"> {
  /** The path from `/v1` on, with its query. */
  readonly target: string;
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  readonly sizeBytes: number;
  /** The body has the member `stream_options`, which the client has not sent. */
  readonly asksUsage: boolean;
}

/** Makes the call, or returns how the attempt ends without one. `mayAsk`: it may ask for the usage in the client's name. */
export async function makeOpenAiCall(
  attempt: Attempt,
  mayAsk = true,
): Promise<OpenAiCall | { readonly ended: Outcome }> {
  const { origin, input } = attempt.assignment;
  const request = openAiCallOf(origin);
  if (request === null) return await fromInput(attempt, input);
  const { path, query, ...asked } = request;
  const call = { ...asked, target: `${path}${query}` };
  if (call.contentType === null) return { ...call, body: null, sizeBytes: 0, asksUsage: false };
  const { bucket } = attempt.deps;
  const spliced = await (isJsonType(call.contentType) ? spliceBody([input], bucket) : bytesOfBase64(input, bucket));
  if (spliced.kind !== "ok") return { ended: inputLost(spliced.kind) };
  const { body, sizeBytes } = spliced;
  const asksUsage = call.hidesUsage && endsWithAsk(body);
  if (mayAsk || !asksUsage) return { ...call, body, sizeBytes, asksUsage };
  const plain = { body: withoutAsk(body, sizeBytes), sizeBytes: sizeBytes - USAGE_ASK.length };
  return { ...call, ...plain, headers: forPlain(call.headers), asksUsage: false, hidesUsage: false };
}

/** A server that remembers keys would refuse one that comes again with another body. */
function forPlain(headers: OpenAiRequest["headers"] = {}): Readonly<Record<string, string>> {
  const { "idempotency-key": key } = headers;
  return key === undefined ? headers : { ...headers, "idempotency-key": `${key}-plain` };
}

const ASK_END = new TextEncoder().encode(`${USAGE_ASK}}`);

/**
 * Has the edge put its `stream_options` at the end? A client's own one was changed in its place and stays: its server
 * takes the field. In a body that is a stream the edge changes nothing else (http/openai/body.ts).
 */
function endsWithAsk(body: Uint8Array | ReadableStream<Uint8Array>): boolean {
  if (!(body instanceof Uint8Array)) return true;
  const end = body.subarray(-ASK_END.length);
  return end.length === ASK_END.length && end.every((byte, at) => byte === ASK_END[at]);
}

/** The body without the member at its end. */
function withoutAsk(
  body: Uint8Array | ReadableStream<Uint8Array>,
  sizeBytes: number,
): Uint8Array | ReadableStream<Uint8Array> {
  const kept = sizeBytes - ASK_END.length;
  const brace = ASK_END.subarray(-1);
  if (body instanceof Uint8Array) return concatBytes([body.subarray(0, kept), brace]);
  let at = 0;
  const cut = new TransformStream<Uint8Array, Uint8Array>({
    transform(bytes, controller) {
      if (at < kept) controller.enqueue(bytes.subarray(0, kept - at));
      at += bytes.length;
    },
    flush: (controller) => controller.enqueue(brace),
  });
  return body.pipeThrough(cut);
}

/** A `/run` job's call: `openai_route` and `openai_input` as RunPod's vLLM worker takes, or `messages` or `prompt`. */
async function fromInput(attempt: Attempt, input: PayloadRef): Promise<OpenAiCall | { readonly ended: Outcome }> {
  const spliced = await spliceBody([input], attempt.deps.bucket);
  if (spliced.kind !== "ok") return { ended: inputLost(spliced.kind) };
  const text = await new Response(spliced.body).text();
  const value = parseJson(text);
  const fields: Readonly<Record<string, unknown>> = typeof value === "object" && value !== null ? { ...value } : {};
  const route = routeOf(fields);
  if (route === null) {
    const message = "input: this endpoint's server takes openai_route and openai_input, or messages, or prompt";
    return { ended: rejected("invalid_request", message) };
  }
  // Resolved first: dots or backslashes would change the path on its way, past the rule about what the server may keep.
  const url = URL.parse(route.path, "http://server.invalid");
  if (url === null) return { ended: rejected("invalid_request", "input.openai_route: is no path of a URL") };
  const asked = route.body;
  const isEmpty = typeof asked !== "object" || asked === null || Object.keys(asked).length === 0;
  const stream = !isEmpty && "stream" in asked && asked.stream === true;
  const call = { target: `${url.pathname}${url.search}`, stream, hidesUsage: false, asksUsage: false };
  if (isEmpty) return { ...call, method: "GET", contentType: null, body: null, sizeBytes: 0 };
  // The text as it was sent: a parser would change a seed of 64 bits.
  const given = asked === fields ? text.trim() : (memberText(text, "openai_input") ?? "{}");
  const kept = keepsNothing(attempt.assignment.openaiRoutes, url.pathname) ? keptOut(given) : given;
  if (typeof kept !== "string") return kept;
  const body = new TextEncoder().encode(kept);
  return { ...call, method: "POST", contentType: "application/json", body, sizeBytes: body.length };
}

/** The body, changed so that the server keeps nothing of it, as http/openai/body.ts does for a request. */
function keptOut(body: string): string | { readonly ended: Outcome } {
  const stored = new StoredFields();
  let isEmpty = true;
  for (const { name, from, to } of membersOf(body, 0)) {
    isEmpty = false;
    stored.see(name, body.slice(from, to));
  }
  const { problem } = stored;
  if (problem !== null)
    return { ended: rejected("invalid_request", `openai_input.${problem.field}: ${problem.message}`) };
  return `${body.slice(0, -1)}${stored.addition(isEmpty)}}`;
}

function routeOf(fields: Readonly<Record<string, unknown>>): { readonly path: string; readonly body: unknown } | null {
  const { openai_route: path } = fields;
  // One slash begins a path of the same server; two would begin another host.
  if (typeof path === "string" && /^\/[A-Za-z0-9_-][^\s#]*$/.test(path)) return { path, body: fields.openai_input };
  if ("messages" in fields) return { path: "/v1/chat/completions", body: fields };
  return "prompt" in fields ? { path: "/v1/completions", body: fields } : null;
}

function inputLost(kind: string): Outcome {
  const what = kind === "missing" ? "is not there any more" : "does not come";
  return storageFailed(`the input could not be read from R2: it ${what}`);
}
