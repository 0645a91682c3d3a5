// A load-balanced request on its way to a worker: any method, any path, the body as it comes. The operator has set the
// worker's address, which is guarded; the client gives only the path behind it. Nothing is decoded, followed or stored.
import type { Reach } from "../core/access/reach.ts";
import type { CallResult } from "./call.ts";
import { checkUrl } from "./guard.ts";
import { hasLargeHeaders } from "./header-bytes.ts";
import { refusalOf } from "./request-refusal.ts";

export interface TunnelRequest {
  /** The worker's address. */
  readonly baseUrl: string;
  /** The path as the client sent it, from its slash on; empty: none. */
  readonly path: string;
  /** The query with its question mark; empty: none. */
  readonly search: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array> | null;
  readonly signal: AbortSignal;
}

export type TunnelResult =
  | { readonly kind: "response"; readonly response: Response }
  /** `protocol`: the answer is no HTTP that could be passed on. */
  | Extract<CallResult, { readonly kind: "url_refused" | "not_made" | "redirect" | "protocol" }>
  /** The call was refused, reset, closed or got no HTTP: workerd reports all alike. Also a call that a signal ended. */
  | { readonly kind: "failed" };

/** Calls the worker; resolves when the headers of its answer have come. The reader of the answer bounds its body. */
export async function openTunnel(request: TunnelRequest, reach: Reach): Promise<TunnelResult> {
  const verdict = checkUrl(request.baseUrl, reach);
  if (!verdict.ok) return { kind: "url_refused", message: verdict.message };
  const { method, headers, body, signal } = request;
  const url = withPath(verdict.url, request.path, request.search);
  try {
    const response = await fetch(url, {
      method,
      headers,
      redirect: "manual",
      signal,
      // Cloudflare's cache keeps what looks like a static file by its URL alone, and so would mix up tenants' answers.
      cache: "no-store",
      // The client gets the worker's bytes in the coding in which the worker sent them.
      encodeResponseBody: "manual",
      ...(body === null ? {} : { body }),
    });
    return judge(response);
  } catch (cause) {
    const detail = refusalOf({ url, method, headers, hasBody: body !== null }, cause);
    return detail === null ? { kind: "failed" } : { kind: "not_made", detail };
  }
}

/** The setters of URL cannot change the host, whatever the path looks like. */
function withPath(base: URL, path: string, search: string): string {
  const url = new URL(base.href);
  if (path !== "") url.pathname = `${base.pathname.replace(/\/+$/, "")}${path}`;
  url.search = search;
  if (url.origin !== base.origin) throw new Error("a path has changed the host");
  return url.href;
}

function judge(response: Response): TunnelResult {
  const { status } = response;
  const drop = (result: TunnelResult): TunnelResult => {
    response.body?.cancel().catch(() => undefined);
    return result;
  };
  // A redirect would send the client, or us, to a place of the worker's choice; 304 names no place.
  if (status >= 300 && status < 400 && status !== 304) return drop({ kind: "redirect", status });
  const isUpgraded = status === 101 && response.webSocket !== null;
  if (!isUpgraded && (status < 200 || status > 599)) {
    return drop({ kind: "protocol", detail: `its status is ${status}` });
  }
  if (hasLargeHeaders(response.headers)) return drop({ kind: "protocol", detail: "its headers are too large" });
  return { kind: "response", response };
}
