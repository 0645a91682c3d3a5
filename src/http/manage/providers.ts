// /v1/providers: who gives the machines of a tenant's fleets.
import * as z from "zod";
import type { Offer } from "../../contract/fleet.ts";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import {
  type CreateProvider,
  changedProviderSchema,
  createdProviderSchema,
  createProviderSchema,
  type PatchProvider,
  patchProviderSchema,
  providerSchema,
  removedProviderSchema,
  type ShownProvider,
} from "../../contract/manage/provider.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { toNanodollars } from "../../core/manage/dollars.ts";
import { OPERATORS_DISK_MAX_GB } from "../../core/manage/limits.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { listProviders, type ManagedProvider } from "../../db/providers.ts";
import { changeProvider, createProvider, readProvider, removeProvider } from "../../manage/providers.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { askedTenant, listOwner, ownerShape } from "./owner.ts";
import { pushRest } from "./push-rest.ts";
import { showDollars } from "./shown-line.ts";

const paramsSchema = z.object({ provider: z.string().meta({ description: "Id of a provider" }) });
const querySchema = z.strictObject({ ...pageShape, ...ownerShape });
const shared = { plane: "v1", tag: "Providers", scopes: ["manage", "admin"] } as const;
const PATH = "/v1/providers";
const ONE = { params: paramsSchema, path: `${PATH}/:provider` } as const;

export const PROVIDER_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listProviders",
    summary: "List providers",
    description: "Newest first. With the scope admin `?tenant` names another tenant, or all of them with `*`.",
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of providers",
        schema: z.object({ providers: z.array(providerSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createProvider",
    summary: "Add a provider",
    description:
      "Endpoints with an image have their machines of the providers that they name, or of their tenant's default ones. Its credential is sealed and never shown again.",
    kind: "creates",
    body: createProviderSchema,
    answers: { 201: { description: "The new provider", schema: createdProviderSchema } },
    handle: create,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "GET",
    id: "getProvider",
    summary: "Read a provider",
    description: "Everything but its credential.",
    kind: "reads",
    answers: { 200: { description: "The provider", schema: providerSchema } },
    handle: read,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "PATCH",
    id: "updateProvider",
    summary: "Change a provider",
    description: `A field that is left out stays; offers are replaced as a whole. Machines that are there go on. Its kind and url are for good, and another url is 409. Another credential must be of the same account, or its machines are not found and go on to cost. For another address or account add a new provider. Of one whose offers an operator has set the scope admin alone changes offers, credential, and default to true. An operator's default, or first offers, are 409 with the names of endpoints that have set more than one slot or GPU, a registry, volumes, or a disk over ${OPERATORS_DISK_MAX_GB} GB.`,
    kind: "changes",
    body: patchProviderSchema,
    answers: { 200: { description: "The provider as it is now", schema: changedProviderSchema } },
    handle: change,
  }),
  operation({
    ...shared,
    ...ONE,
    method: "DELETE",
    id: "deleteProvider",
    summary: "Remove a provider",
    description:
      "409 with the names of the endpoints that name it, or have it as a default one. Machines that others had of it before are ended as they would have been.",
    kind: "changes",
    answers: { 200: { description: "The provider is gone", schema: removedProviderSchema } },
    handle: remove,
  }),
];

type Params = z.infer<typeof paramsSchema>;

async function list({
  env,
  caller,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  if (caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const owner = listOwner(caller, query.tenant);
  if (!owner.ok) return owner;
  const found = await loadPage(query, (page) => listProviders(env.DB, owner.value, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { providers: rows.map(show), pagination } });
}

async function create(call: OperationCall<unknown, unknown, CreateProvider>): Promise<Result<Reply>> {
  const { tenantId: asked, offers, default: isDefault, name, kind, url, credential } = call.body;
  const tenantId = askedTenant(call.caller, asked);
  if (!tenantId.ok) return tenantId;
  const made = await createProvider(contextOf(call), {
    tenantId: tenantId.value,
    name,
    kind,
    url,
    credential,
    offers: offers.map(toOffer),
    isDefault,
    requestUrl: call.c.req.url,
  });
  if (!made.ok) return made;
  const { id, applied, secret } = made.value;
  if (!applied) pushRest(call.c);
  const found = await readProvider(call, id);
  if (!found.ok) return found;
  const body = { ...show(found.value), applied, ...(secret === null ? {} : { secret }) };
  return ok({ status: 201, body, version: found.value.version });
}

async function read(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const found = await readProvider(call, call.params.provider);
  return found.ok ? ok({ status: 200, body: show(found.value), version: found.value.version }) : found;
}

async function change(call: OperationCall<Params, unknown, PatchProvider>): Promise<Result<Reply>> {
  const { offers, default: isDefault, ...others } = call.body;
  const patch = { ...others, offers: offers?.map(toOffer), isDefault, requestUrl: call.c.req.url };
  const changed = await changeProvider(contextOf(call), call.params.provider, patch);
  if (!changed.ok) return changed;
  const { provider, applied } = changed.value;
  if (!applied) pushRest(call.c);
  return ok({ status: 200, body: { ...show(provider), applied }, version: provider.version });
}

async function remove(call: OperationCall<Params, unknown, unknown>): Promise<Result<Reply>> {
  const removed = await removeProvider(contextOf(call), call.params.provider);
  return removed.ok ? ok({ status: 200, body: removed.value }) : removed;
}

function toOffer({ gpuTypeId, pricePerHour, tier }: CreateProvider["offers"][number]): Offer {
  return { gpuTypeId, priceNanodollarsPerHour: toNanodollars(pricePerHour), ...(tier === undefined ? {} : { tier }) };
}

function show(provider: ManagedProvider): ShownProvider {
  const { id, tenantId, name, kind, url, sealedCredential, offers, isDefault, pricedByOperator } = provider;
  return {
    id,
    tenantId,
    name,
    kind,
    url,
    hasCredential: sealedCredential !== null,
    offers: offers.map(({ gpuTypeId, priceNanodollarsPerHour, tier }) => {
      const pricePerHour = showDollars(priceNanodollarsPerHour);
      return { gpuTypeId, pricePerHour, ...(tier === undefined ? {} : { tier }) };
    }),
    default: isDefault,
    pricedBy: pricedByOperator ? "operator" : "tenant",
    version: provider.version,
    createdAt: toTimeText(provider.createdAtMs),
  };
}
