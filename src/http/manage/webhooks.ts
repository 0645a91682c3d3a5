// /v1/webhooks: the secret that signs a tenant's webhooks, the log of their tries, and dead ones that are sent again.
import * as z from "zod";
import type { DeliveryTry } from "../../contract/delivery-log.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import {
  deliverySchema,
  type Redeliver,
  type RotateSecret,
  redeliveriesSchema,
  redeliverSchema,
  redeliverySchema,
  rotatedSecretSchema,
  rotateSecretSchema,
  type ShownDelivery,
  webhookSecretSchema,
} from "../../contract/manage/webhook.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { redeliver, redeliverSome } from "../../dispatch/redeliver.ts";
import { readFormerUntil, rotateSecret } from "../../manage/webhook-secret.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { decodeCursor, paginationOf } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { askedTenant, ownerShape } from "./owner.ts";
import { findTenantJobs } from "./tenant-jobs.ts";

const ofTenant = z.strictObject({
  tenant: ownerShape.tenant.meta({ description: "With the scope admin: the id of another tenant than the key's" }),
});
const deliveriesQuery = z.strictObject({ ...pageShape, ...ownerShape });
const webhookParams = z.object({ webhook: z.string().meta({ description: "The webhookId of a dead webhook" }) });
const cursorSchema = z.int().min(0);

const shared = { plane: "v1", tag: "Webhooks" } as const;
const MANAGERS = ["manage", "admin"] as const;

export const WEBHOOK_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: "/v1/webhooks/secret",
    id: "getWebhookSecret",
    summary: "Read the state of the secret",
    description: "The secret itself is shown once, by its rotation or by the creation of the tenant.",
    scopes: MANAGERS,
    kind: "reads",
    query: ofTenant,
    answers: { 200: { description: "Whether a former secret signs, too", schema: webhookSecretSchema } },
    handle: readSecret,
  }),
  operation({
    ...shared,
    method: "POST",
    path: "/v1/webhooks/secret/rotate",
    id: "rotateWebhookSecret",
    summary: "Rotate the secret",
    description: "During the overlap each webhook has a signature of both secrets, also of jobs that came before.",
    scopes: MANAGERS,
    kind: "creates",
    query: ofTenant,
    body: rotateSecretSchema,
    answers: { 201: { description: "The new secret, shown once", schema: rotatedSecretSchema } },
    handle: rotate,
  }),
  operation({
    ...shared,
    method: "GET",
    path: "/v1/endpoints/:endpoint/deliveries",
    id: "listDeliveries",
    summary: "List tries of webhooks",
    description: "Newest first: the last 1,000 tries of a tenant in an endpoint, for 7 days.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    params: endpointParams,
    query: deliveriesQuery,
    answers: {
      200: {
        description: "A page of tries",
        schema: z.object({ deliveries: z.array(deliverySchema), pagination: paginationSchema }),
      },
    },
    handle: listTries,
  }),
  operation({
    ...shared,
    method: "POST",
    path: "/v1/webhooks/dead/:webhook/redeliver",
    id: "redeliverWebhook",
    summary: "Send a dead webhook again",
    description: "One signed try at once, with the same webhook-id. A delivered one leaves the list.",
    scopes: MANAGERS,
    kind: "acts",
    params: webhookParams,
    query: ofTenant,
    answers: { 200: { description: "What came of it", schema: redeliverySchema } },
    handle: redeliverOne,
  }),
  operation({
    ...shared,
    method: "POST",
    path: "/v1/webhooks/dead/redeliver",
    id: "redeliverWebhooks",
    summary: "Send dead webhooks again",
    description:
      "One step: the oldest 20 at most. Call again with nextCursor while there is one, and each is sent once.",
    scopes: MANAGERS,
    kind: "acts",
    query: ofTenant,
    body: redeliverSchema,
    answers: { 200: { description: "What this step has done", schema: redeliveriesSchema } },
    handle: redeliverStep,
  }),
];

type OfTenant = z.infer<typeof ofTenant>;

/** The tenant that is meant. Webhooks are of a tenant as a whole. */
function tenantOf({ caller, query }: OperationCall<unknown, OfTenant, unknown>): Result<string> {
  return caller.endpointIds === null ? askedTenant(caller, query.tenant) : fail({ kind: "restricted_key" });
}

async function readSecret(call: OperationCall<unknown, OfTenant, unknown>): Promise<Result<Reply>> {
  const tenantId = tenantOf(call);
  if (!tenantId.ok) return tenantId;
  const until = await readFormerUntil(call, tenantId.value);
  return until.ok ? ok({ status: 200, body: { formerValidUntil: toTimeText(until.value) } }) : until;
}

async function rotate(call: OperationCall<unknown, OfTenant, RotateSecret>): Promise<Result<Reply>> {
  const tenantId = tenantOf(call);
  if (!tenantId.ok) return tenantId;
  const rotated = await rotateSecret(contextOf(call), tenantId.value, call.body.overlapSeconds * 1_000);
  if (!rotated.ok) return rotated;
  const { secret, formerUntilMs } = rotated.value;
  return ok({
    status: 201,
    body: { ...(secret === null ? {} : { secret }), formerValidUntil: toTimeText(formerUntilMs) },
  });
}

async function listTries(
  call: OperationCall<EndpointParams, z.infer<typeof deliveriesQuery>, unknown>,
): Promise<Result<Reply>> {
  const { cursor, limit, tenant } = call.query;
  const place = await findTenantJobs(call, tenant);
  if (!place.ok) return place;
  const before = decodeCursor(cursor, cursorSchema);
  if (!before.ok) return before;
  const { broker, tenantId } = place.value;
  const found = await broker.call("listDeliveries", { tenantId, before: before.value, limit });
  if (!found.ok) return found;
  const { deliveries, next } = found.value;
  return ok({ status: 200, body: { deliveries: deliveries.map(show), pagination: paginationOf(next) } });
}

async function redeliverOne(
  call: OperationCall<z.infer<typeof webhookParams>, OfTenant, unknown>,
): Promise<Result<Reply>> {
  const tenantId = tenantOf(call);
  if (!tenantId.ok) return tenantId;
  const sent = await redeliver(call.env, tenantId.value, call.params.webhook);
  return sent.ok ? ok({ status: 200, body: sent.value }) : sent;
}

async function redeliverStep(call: OperationCall<unknown, OfTenant, Redeliver>): Promise<Result<Reply>> {
  const tenantId = tenantOf(call);
  if (!tenantId.ok) return tenantId;
  const after = decodeCursor(call.body.cursor, cursorSchema);
  if (!after.ok) return after;
  const sent = await redeliverSome(call.env, tenantId.value, { after: after.value, limit: call.body.limit });
  if (!sent.ok) return sent;
  const { delivered, failed, remaining, next } = sent.value;
  return ok({ status: 200, body: { delivered, failed, remaining, pagination: paginationOf(next) } });
}

function show({ atMs, jobId, webhookId, tryNumber, delivered, status, detail, tookMs }: DeliveryTry): ShownDelivery {
  return { at: toTimeText(atMs), jobId, webhookId, try: tryNumber, delivered, status, detail, tookMs };
}
