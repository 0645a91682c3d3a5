// Lets in who presents a token for browsers in place of a key. Only routes that say so look for one: everywhere else a token is a key
// that is not valid.
import { readConfig } from "../../config.ts";
import type { Caller } from "../../contract/identity.ts";
import { isKeyOver } from "../../core/access/api-key.ts";
import type { TokenGrant, TokenScope } from "../../core/access/browser-token.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { opens } from "../../manage/context.ts";
import { findStoredKey, type ReadKey } from "./auth.ts";
import type { RouteContext } from "./context.ts";
import { type EndpointCall, endpointCall, enterAnyEndpoint } from "./enter.ts";
import { refuseCaller } from "./failed-callers.ts";
import { findEndpoint } from "./find-endpoint.ts";
import { openToken } from "./token-mac.ts";

type Enter<Entered> = (
  c: RouteContext,
  readKey: ReadKey,
  enterAny?: (c: RouteContext, readKey: ReadKey) => Promise<Result<EndpointCall>>,
) => Promise<Result<Entered>>;

/** For a route that pages call: `enter` for whoever has a key or a token with this scope, and CORS. */
export function forPages<Entered>(scope: TokenScope, enter: Enter<Entered>) {
  return {
    enter: (c: RouteContext, readKey: ReadKey) => enter(c, readKey, (_, read) => enterKeyOrToken(c, read, scope)),
    isForPages: true,
  } as const;
}

const TOKEN_OVER = { kind: "unauthorized", misused: "token_over" } as const;

async function enterKeyOrToken(c: RouteContext, readKey: ReadKey, scope: TokenScope): Promise<Result<EndpointCall>> {
  const { headers } = c.req.raw;
  const token = /^(?:bearer +)?(wb_tok_\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (token === undefined) return enterAnyEndpoint(c, readKey);
  const nowMs = Date.now();
  // No row says anything of a token: what the MAC has not shown to be ours costs no statement.
  const grant = await openToken(token, readConfig(c.env).pepper);
  if (grant === null) return fail(await refuseCaller(headers, c.env, nowMs));
  const caller = await callerOf(grant, c.env, nowMs);
  if (!caller.ok) return caller;
  if (!grant.allow.includes(scope)) return fail({ kind: "token_refused", why: "scope" });
  const endpoint = await findEndpoint(c.req.param("endpoint") ?? "", caller.value, c.env, nowMs);
  if (!endpoint.ok) return endpoint;
  if (!mayCome(c.req.raw, grant, endpoint.value.allowedOrigins)) {
    return fail({ kind: "token_refused", why: "origin" });
  }
  return ok(endpointCall(c, caller.value, endpoint.value));
}

/** Only a browser says where its page comes from, and it says the truth; all else may leave the header out. */
function mayCome(request: Request, grant: TokenGrant, allowed: readonly string[]): boolean {
  const origin = request.headers.get("origin") ?? (grant.origin === null ? null : ownPageOf(request));
  if (grant.origin !== null && origin !== grant.origin) return false;
  return origin === null || allowed.includes(origin);
}

/** The origin of a page that reads from its own one: browsers then leave out `Origin`, and send a header that no page can set. */
function ownPageOf({ method, headers, url }: Request): string | null {
  return method === "GET" && headers.get("sec-fetch-site") === "same-origin" ? new URL(url).origin : null;
}

/** What the token's key may do now, cut down to the token's endpoint; the key is looked up as at a call of its own. */
async function callerOf(grant: TokenGrant, env: Env, nowMs: number): Promise<Result<Caller>> {
  if (grant.expiresAtMs <= nowMs) return fail(TOKEN_OVER);
  const key = await findStoredKey(grant.keyId, env, nowMs);
  if (!key.ok) return key;
  if (key.value === null || isKeyOver(key.value, nowMs) || !mayMakeTokens(key.value.caller)) return fail(TOKEN_OVER);
  const { caller } = key.value;
  if (caller.tenantId !== grant.tenantId) return fail(TOKEN_OVER);
  const { id, calls, expiresAtMs, endpointId } = grant;
  const endpointIds = opens(caller, endpointId) ? [endpointId] : [];
  return ok({ ...caller, scopes: [], endpointIds, token: { id, calls, expiresAtMs } });
}

/** The scopes of keys that make tokens; a key that has lost them ends its tokens, too. */
export const TOKEN_MAKERS = ["jobs", "manage"] as const;

function mayMakeTokens({ scopes }: Caller): boolean {
  return TOKEN_MAKERS.some((scope) => scopes.includes(scope));
}
