// /v1/me: what the key of the call is and may do, with the limits of its tenant. A key for some endpoints only may ask, too.
import { selfSchema } from "../../contract/manage/key.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { findClientKey } from "../../db/managed-keys.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

export const ME_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Keys",
    method: "GET",
    path: "/v1/me",
    id: "getSelf",
    summary: "Read the key of this call",
    description: "Whose key it is, what it may do, when it ends, and the limits of its tenant.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    answers: { 200: { description: "The key", schema: selfSchema } },
    handle: read,
  }),
];

async function read({ env, caller }: OperationCall<unknown, unknown, unknown>): Promise<Result<Reply>> {
  const { keyId, tenantId, scopes, endpointIds, waitingMax, bound, limits } = caller;
  const found = await askD1(() => findClientKey(env.DB, tenantId, keyId));
  if (!found.ok) return found;
  if (found.value === null) return fail({ kind: "unauthorized" });
  const { name, expiresAtMs } = found.value;
  const expiresAt = toTimeText(expiresAtMs);
  const ofTenant = { waitingMax, runningMax: bound.runningMax, limits };
  return ok({ status: 200, body: { keyId, name, tenantId, scopes, endpointIds, expiresAt, ...ofTenant } });
}
