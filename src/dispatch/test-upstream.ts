// Asks an upstream one question for its operator, by its dialect, as the checks of running jobs do (suspicion.ts, prober.ts), and puts
// what came into a sentence. What an upstream writes is hostile: a little of it is read, and shown without secrets.
import type { EndpointSettings, Upstream } from "../contract/settings.ts";
import type { Reach } from "../core/access/reach.ts";
import { messageOf } from "../core/failure.ts";
import { SECRET_MIN_CHARS } from "../core/limits.ts";
import { type CallResult, callUrl } from "../outbound/call.ts";
import { upstreamHeaders, upstreamSecrets } from "./attempt.ts";
import { openCredential } from "./carry.ts";

/** Longer than any sound server takes to answer, and shorter than what clients of the management API wait. */
const TEST_MAX_MS = 10_000;
/** An error's first sentence fits; */
const QUOTED_MAX_CHARS = 200;
/** with its characters' bytes, and what JSON puts around it. */
const READ_MAX_BYTES = 4 * 1_024;

/** What one question has shown. `status` is absent where there was no answer. */
export interface TestedUpstream {
  readonly ok: boolean;
  readonly status?: number;
  readonly tookMs: number;
  readonly detail: string;
}

/** Never throws. `kind`: of the upstream's endpoint. */
export async function testUpstream(
  upstream: Upstream,
  kind: EndpointSettings["kind"],
  encryptionKey: string,
  reach: Reach,
): Promise<TestedUpstream> {
  let credential: string | null;
  try {
    credential = await openCredential(upstream, encryptionKey);
  } catch (cause) {
    return { ok: false, tookMs: 0, detail: `Its credential cannot be used: ${messageOf(cause)}.` };
  }
  const question = questionFor(upstream, kind);
  const startedMs = Date.now();
  const result = await callUrl(
    {
      url: question.url,
      method: "GET",
      headers: upstreamHeaders(credential, null),
      totalMs: TEST_MAX_MS,
      idleMs: TEST_MAX_MS,
      secrets: upstreamSecrets(upstream, credential),
    },
    reach,
  );
  const tookMs = Date.now() - startedMs;
  if (result.kind !== "response") return { ok: false, tookMs, ...unanswered(result) };
  const { status } = result;
  const verdict = judge(status, question.wants);
  // A secret that is too short to be blanked would be seen in the quotation.
  const isQuotable = !verdict.ok && (credential === null || credential.length >= SECRET_MIN_CHARS);
  const quoted = isQuotable ? await quote(result) : "";
  result.close();
  const said = quoted === "" ? "" : ` It wrote: ${quoted}`;
  return {
    ok: verdict.ok,
    status,
    tookMs,
    detail: `It answered ${status} to GET ${question.path}${verdict.why}.${said}`,
  };
}

/** What an answer must be. `found`: the path is there wherever the address is right. `ready`: of load-balanced workers. */
type Wanted = "found" | "ready" | "any";

interface Question {
  readonly url: string;
  readonly path: string;
  readonly wants: Wanted;
}

function questionFor({ url, dialect, local }: Upstream, kind: EndpointSettings["kind"]): Question {
  const base = url.replace(/\/+$/, "");
  const ask = (root: string, path: string, wants: Wanted) => ({ url: `${root}${path}`, path, wants });
  if (kind === "load_balancer") return ask(base, "/ping", "ready");
  if (dialect === "openai") return ask(base.replace(/\/v1$/, ""), "/v1/models", "found");
  if (dialect === "runpod" && !local) return ask(base, "/health", "found");
  // A server that takes jobs by POST need not know GET: any answer of its own shows that it is there.
  return { url, path: "its address", wants: "any" };
}

function judge(status: number, wants: Wanted): { readonly ok: boolean; readonly why: string } {
  if (status === 401 || status === 403) return { ok: false, why: ": it refuses the credential, or wants one" };
  if (status === 429) return { ok: false, why: ": it takes no more calls at the moment" };
  if (status >= 500) return { ok: false, why: ", so it is not well" };
  if (wants === "ready") {
    if (status === 200) return { ok: true, why: ", so it is ready" };
    return { ok: false, why: status === 204 ? ", so it is starting" : ", where 200 is ready and 204 starting" };
  }
  if (status < 300) return { ok: true, why: "" };
  if (wants === "found") return { ok: false, why: ", where its dialect has an answer: look at its address" };
  return { ok: true, why: ", as servers that take jobs by POST alone do" };
}

function unanswered(result: Exclude<CallResult, { kind: "response" }>): Pick<TestedUpstream, "detail" | "status"> {
  switch (result.kind) {
    case "url_refused":
      return { detail: `Its address ${result.message}.` };
    case "redirect":
      return { status: result.status, detail: `It answered ${result.status}; redirects are not followed.` };
    case "timeout":
      return { detail: `It gave no answer within ${TEST_MAX_MS / 1_000} s.` };
    case "aborted":
      return { detail: "The call was given up." };
    default:
      return { detail: `There was no answer: ${result.detail}.` };
  }
}

/** The beginning of the body in one line of plain characters; "" where there is none, or it breaks off. */
async function quote({ body }: Extract<CallResult, { kind: "response" }>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (body.bytesRead < READ_MAX_BYTES) {
      const piece = await body.next();
      if (piece === null) break;
      text += decoder.decode(piece.subarray(0, READ_MAX_BYTES), { stream: true });
    }
  } catch {
    return "";
  }
  const line = text.replace(/[\p{C}\s]+/gu, " ").trim();
  return line.length > QUOTED_MAX_CHARS ? `${line.slice(0, QUOTED_MAX_CHARS).toWellFormed()}…` : line;
}
