// RunPod's API as the edge reads it: headers, then the body, whose known fields are checked; its input stays bytes.
import { readConfig } from "../../config.ts";
import { ok, type Result } from "../../core/failure.ts";
import { checkSubmitHeaders, readIdempotencyKey } from "../../core/job/submit-headers.ts";
import { RUN_BODY_MAX_BYTES, RUNSYNC_BODY_MAX_BYTES } from "../../core/limits.ts";
import { readKey } from "../kit/auth.ts";
import type { ClientDialect, WantedJob } from "../kit/client-dialect.ts";
import { bodyOf } from "../kit/request-body.ts";
import { refuse } from "../kit/route.ts";
import { readSubmitBody } from "./submit-body.ts";

export const RUNPOD: ClientDialect = { readKey, readJob, refuse };

async function readJob(
  ...[c, { caller, settings, inputSchema }, { mode, key }]: Parameters<ClientDialect["readJob"]>
): Promise<Result<WantedJob>> {
  const maxBytes = mode === "run" ? RUN_BODY_MAX_BYTES : RUNSYNC_BODY_MAX_BYTES;
  const headers = checkSubmitHeaders(c.req.raw.headers, maxBytes);
  if (!headers.ok) return headers;
  const idempotencyKey = readIdempotencyKey(c.req.raw.headers);
  if (!idempotencyKey.ok) return idempotencyKey;
  const body = await readSubmitBody(await bodyOf(c.req.raw), {
    bucket: c.env.PAYLOADS,
    key,
    maxBytes,
    hash: idempotencyKey.value !== null,
    settings,
    isByToken: caller.token !== undefined,
    inputSchema,
    // A client of a local broker may send any Host: it is used for this request alone, and only to refuse URLs.
    reach: { ...readConfig(c.env).reach, requestUrl: c.req.url },
  });
  if (!body.ok) return body;
  const { sha256Hex, webhook, ...read } = body.value;
  return ok({
    ...read,
    webhookUrl: webhook,
    idempotency: toIdempotency(idempotencyKey.value, sha256Hex),
    origin: null,
  });
}

function toIdempotency(key: string | null, sha256Hex: string | null): WantedJob["idempotency"] {
  if (key === null) return null;
  if (sha256Hex === null) throw new Error("the body of a request with an Idempotency-Key was not hashed");
  return { key, fingerprint: sha256Hex };
}
