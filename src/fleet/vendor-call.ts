// One call to a vendor's API: JSON there and back. Whatever is no answer of the vendor's is sorted here, by the one question that
// counts: can the call have done something?
import type { SecretForms } from "../core/access/secret-forms.ts";
import { concatBytes } from "../core/bytes/concat.ts";
import type { Refusal } from "../core/fleet/provider.ts";
import { parseJson } from "../core/json/value.ts";
import type { AnswerBody } from "../outbound/answer-body.ts";
import { type CallResult, callUrl } from "../outbound/call.ts";
import { NOT_REACHED } from "../outbound/proxy-status.ts";
import { parseRetryAfter } from "../outbound/retry-after.ts";
import type { CallDeps } from "./driver.ts";

/** A list of a thousand machines, of which RunPod shows the environments, too. The isolate has 128 MB for all that it does. */
const ANSWER_MAX_BYTES = 8 * 1024 * 1024;

export interface VendorCall {
  /** How it is called at the beginning of a sentence, such as `RunPod`. */
  readonly vendor: string;
  readonly url: string;
  readonly method: "GET" | "POST" | "DELETE";
  readonly headers: Readonly<Record<string, string>>;
  /** A JSON text. */
  readonly body?: string;
  /** It changes nothing, so that nothing is unclear when its answer is lost. */
  readonly isRead: boolean;
  readonly secrets?: SecretForms;
}

/** An answer with any status. */
export interface VendorAnswer {
  readonly kind: "answered";
  readonly status: number;
  /** Undefined: it is no JSON, it is too large, or it broke off. */
  readonly body: unknown;
  readonly retryAfterMs: number | null;
}

/** Never throws. */
export async function callVendor(call: VendorCall, deps: CallDeps): Promise<VendorAnswer | Refusal> {
  const { vendor, isRead, body, secrets, ...request } = call;
  const totalMs = Math.max(1, deps.untilMs - deps.now());
  const result = await callUrl(
    {
      ...request,
      headers: {
        accept: "application/json",
        "user-agent": "Waybill-Fleet/1",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...request.headers,
      },
      ...(body === undefined ? {} : { body, provable: true }),
      ...(secrets === undefined ? {} : { secrets }),
      totalMs,
      idleMs: totalMs,
    },
    deps.reach,
  );
  if (result.kind !== "response") return unanswered(result, call, totalMs);
  const { status, headers } = result;
  const meaning = NOT_REACHED.get(status);
  const read = meaning === undefined ? await readJson(result.body) : undefined;
  result.close();
  if (meaning !== undefined) return { kind: "unreachable", detail: `${vendor} could not be reached: ${meaning}.` };
  return {
    kind: "answered",
    status,
    body: read,
    retryAfterMs: parseRetryAfter(headers.get("retry-after"), deps.now()),
  };
}

function unanswered(result: Exclude<CallResult, { kind: "response" }>, call: VendorCall, totalMs: number): Refusal {
  const { vendor, isRead } = call;
  // After these the vendor may have done what it was asked for.
  const lost = isRead ? "unreachable" : "unclear";
  switch (result.kind) {
    case "url_refused":
      return { kind: "unreachable", detail: `${vendor}'s address ${result.message}.` };
    case "not_made":
      return { kind: "unreachable", detail: `${vendor} cannot be asked: ${result.detail}.` };
    case "not_sent":
      return { kind: "unreachable", detail: `${vendor} could not be reached: ${result.detail}.` };
    case "cut":
      return { kind: "unreachable", detail: `${vendor} broke off: ${result.detail}.` };
    case "redirect":
      return { kind: "unreachable", detail: `${vendor} answered ${result.status}; redirects are not followed.` };
    case "timeout":
      return { kind: lost, detail: `${vendor} did not answer within ${Math.round(totalMs / 1_000)} s.` };
    case "reset":
      return { kind: lost, detail: `${vendor} ${result.detail}.` };
    case "protocol":
      return { kind: lost, detail: `${vendor} broke HTTP: ${result.detail}.` };
    case "aborted":
      return { kind: lost, detail: `${vendor} was not waited for any longer.` };
  }
}

async function readJson(body: AnswerBody): Promise<unknown> {
  const pieces: Uint8Array[] = [];
  try {
    for await (const piece of body) {
      if (body.bytesRead > ANSWER_MAX_BYTES) return undefined;
      pieces.push(piece);
    }
  } catch {
    return undefined;
  }
  return parseJson(new TextDecoder().decode(concatBytes(pieces)));
}
