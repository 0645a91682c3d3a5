// /v1/endpoints/{endpoint}/upstreams: the servers that an endpoint's jobs are sent to.
import * as z from "zod";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import {
  type CreateUpstream,
  changedUpstreamSchema,
  createUpstreamSchema,
  type PatchUpstream,
  patchUpstreamSchema,
  removedUpstreamSchema,
  type ShownUpstream,
  testedUpstreamSchema,
  upstreamSchema,
} from "../../contract/manage/upstream.ts";
import { ok, type Result } from "../../core/failure.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { listUpstreams, type ManagedUpstream } from "../../db/upstreams.ts";
import { ownerOf } from "../../manage/context.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import {
  askUpstream,
  changeUpstream,
  createUpstream,
  readUpstream,
  removeUpstream,
  shownAddress,
} from "../../manage/upstreams.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";

const paramsSchema = endpointParams.extend({
  upstream: z.string().meta({ description: "Id of an upstream of this endpoint" }),
});
const querySchema = z.strictObject(pageShape);
const shared = { plane: "v1", tag: "Upstreams", scopes: ["manage", "admin"] } as const;
const PATH = "/v1/endpoints/:endpoint/upstreams";

export const UPSTREAM_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listUpstreams",
    summary: "List an endpoint's upstreams",
    description: "Newest first, disabled ones included.",
    kind: "reads",
    params: endpointParams,
    query: querySchema,
    answers: {
      200: {
        description: "A page of upstreams",
        schema: z.object({ upstreams: z.array(upstreamSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createUpstream",
    summary: "Add an upstream",
    description: "Its credential is sealed and never shown again. POST …/test asks it whether it answers.",
    kind: "creates",
    params: endpointParams,
    body: createUpstreamSchema,
    answers: { 201: { description: "The new upstream", schema: changedUpstreamSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    method: "GET",
    path: `${PATH}/:upstream`,
    id: "getUpstream",
    summary: "Read an upstream",
    description: "Everything but its credential.",
    kind: "reads",
    params: paramsSchema,
    answers: { 200: { description: "The upstream", schema: upstreamSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    method: "PATCH",
    path: `${PATH}/:upstream`,
    id: "updateUpstream",
    summary: "Change an upstream",
    description: "A field that is left out stays. Jobs that run there go on. Its dialect is for good.",
    kind: "changes",
    params: paramsSchema,
    body: patchUpstreamSchema,
    answers: { 200: { description: "The upstream as it is now", schema: changedUpstreamSchema } },
    handle: change,
  }),
  operation({
    ...shared,
    method: "DELETE",
    path: `${PATH}/:upstream`,
    id: "deleteUpstream",
    summary: "Remove an upstream",
    description: "It gets no more jobs; those that run there go on.",
    kind: "changes",
    params: paramsSchema,
    answers: { 200: { description: "The upstream is gone", schema: removedUpstreamSchema } },
    handle: remove,
  }),
  operation({
    ...shared,
    method: "POST",
    path: `${PATH}/:upstream/test`,
    id: "testUpstream",
    summary: "Ask an upstream whether it answers",
    description: "One call with its credential, of at most 10 s, which starts no job; the answer says what came of it.",
    kind: "acts",
    params: paramsSchema,
    answers: { 200: { description: "What came", schema: testedUpstreamSchema } },
    handle: test,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list(call: OperationCall<EndpointParams, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const endpoint = await readEndpoint(call, ownerOf(call.caller), call.params.endpoint);
  if (!endpoint.ok) return endpoint;
  const found = await loadPage(call.query, (page) => listUpstreams(call.env.DB, endpoint.value.id, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { upstreams: rows.map(show), pagination } });
}

async function create(call: OperationCall<EndpointParams, unknown, CreateUpstream>): Promise<Result<Reply>> {
  const { endpoint } = call.params;
  const made = await createUpstream(contextOf(call), endpoint, { ...call.body, requestUrl: call.c.req.url });
  if (!made.ok) return made;
  const { id, applied, warning } = made.value;
  const found = await readUpstream(call, endpoint, id);
  return found.ok ? ok(changed(201, { upstream: found.value, applied, warning })) : found;
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readUpstream(call, call.params.endpoint, call.params.upstream);
  return found.ok ? ok({ status: 200, body: show(found.value), version: found.value.version }) : found;
}

async function change(call: OperationCall<Params, unknown, PatchUpstream>): Promise<Result<Reply>> {
  const { endpoint, upstream } = call.params;
  const patch = { ...call.body, requestUrl: call.c.req.url };
  const done = await changeUpstream(contextOf(call), endpoint, upstream, patch);
  return done.ok ? ok(changed(200, done.value)) : done;
}

async function remove(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const removed = await removeUpstream(contextOf(call), call.params.endpoint, call.params.upstream);
  return removed.ok ? ok({ status: 200, body: removed.value }) : removed;
}

async function test(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const tested = await askUpstream(call, call.params.endpoint, call.params.upstream);
  return tested.ok ? ok({ status: 200, body: tested.value }) : tested;
}

interface Changed {
  readonly upstream: ManagedUpstream;
  readonly applied: boolean;
  readonly warning: string | null;
}

function changed(status: 200 | 201, { upstream, applied, warning }: Changed): Reply {
  const body = { ...show(upstream), applied, ...(warning === null ? {} : { warning }) };
  return { status, body, version: upstream.version };
}

function show({ credential, createdAtMs, url, pricedByOperator, ...upstream }: ManagedUpstream): ShownUpstream {
  return {
    ...upstream,
    url: shownAddress(url),
    hasCredential: credential !== null,
    pricedBy: pricedByOperator ? "operator" : "tenant",
    createdAt: toTimeText(createdAtMs),
  };
}
