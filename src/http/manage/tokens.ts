// /v1/endpoints/{endpoint}/tokens: makes a token for one endpoint, which a server hands to its visitor's browser in place of its key.
import { readConfig } from "../../config.ts";
import { type CreateToken, createdTokenSchema, createTokenSchema } from "../../contract/manage/token.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { findStoredKey } from "../kit/auth.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { TOKEN_MAKERS } from "../kit/enter-token.ts";
import { findEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { signToken } from "../kit/token-mac.ts";

const TOKEN_ID_BYTES = 16;

export const TOKEN_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Keys",
    scopes: TOKEN_MAKERS,
    method: "POST",
    path: "/v1/endpoints/:endpoint/tokens",
    id: "createToken",
    summary: "Make a token for a browser",
    description:
      "It submits a number of jobs to this endpoint and follows them, and opens nothing else. It is signed and not stored: it ends by its " +
      "time, or within 30 s with the key that made it.",
    kind: "acts",
    params: endpointParams,
    body: createTokenSchema,
    answers: { 201: { description: "The token, in this answer alone", schema: createdTokenSchema } },
    handle: create,
  }),
];

async function create(call: OperationCall<EndpointParams, unknown, CreateToken>): Promise<Result<Reply>> {
  const { env, caller, params, body, nowMs } = call;
  const endpoint = await findEndpoint(params.endpoint, caller, env, nowMs);
  if (!endpoint.ok) return endpoint;
  const { endpointId, kind } = endpoint.value.settings;
  if (kind !== "queue") return fail(LOAD_BALANCED);
  const key = await findStoredKey(caller.keyId, env, nowMs);
  if (!key.ok) return key;
  const { calls, allow, origin = null, expiresInSeconds } = body;
  const grant = {
    id: crypto.getRandomValues(new Uint8Array(TOKEN_ID_BYTES)).toBase64({ alphabet: "base64url", omitPadding: true }),
    keyId: caller.keyId,
    tenantId: caller.tenantId,
    endpointId,
    expiresAtMs: Math.min(nowMs + expiresInSeconds * 1_000, key.value?.expiresAtMs ?? Number.POSITIVE_INFINITY),
    calls,
    allow,
    origin,
  };
  const token = await signToken(grant, readConfig(env).pepper);
  const { id, expiresAtMs } = grant;
  const shown = { token, id, endpointId, expiresAt: toTimeText(expiresAtMs), calls, allow, origin };
  return ok({ status: 201, body: shown });
}

const LOAD_BALANCED = {
  kind: "conflict",
  message: "this endpoint is load-balanced and takes no jobs: its workers let callers in themselves",
} as const;
