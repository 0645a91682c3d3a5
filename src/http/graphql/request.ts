// POST /graphql, for clients of RunPod that are older than its REST API: the few fields that its Python package 1.12 asks for. Every
// other one gets an error that names what to use, in GraphQL's form, which is the only one that those clients can read.
import * as z from "zod";
import type { Caller } from "../../contract/identity.ts";
import { wireOf } from "../../contract/wire-failure.ts";
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { type GraphQlField, parseGraphQl } from "../../core/manage/graphql-document.ts";
import type { ManageContext } from "../../manage/context.ts";
import { jsonAnswer } from "../kit/answer.ts";
import { authenticate, readKey, requireScope } from "../kit/auth.ts";
import { readBodyText } from "../kit/body-text.ts";
import { checkBody } from "../kit/checked.ts";
import type { RouteContext } from "../kit/context.ts";
import type { DescribedOperation } from "../kit/operation-doc.ts";
import { detailOf } from "../kit/problem.ts";
import { countCall } from "../kit/rate-limit.ts";
import { type Answered, route } from "../kit/route.ts";
import { notServed, type Resolved } from "./call.ts";
import { deleteEndpoint, saveEndpoint, updateEndpointTemplate } from "./endpoints.ts";
import { gpuTypes } from "./gpus.ts";
import { myself } from "./myself.ts";
import { saveTemplate } from "./templates.ts";

const bodySchema = z.looseObject({ query: z.string() }).meta({ id: "GraphQLCall" });
const answerSchema = z
  .object({
    data: z.record(z.string(), z.unknown()).optional(),
    errors: z.array(z.object({ message: z.string() })).optional(),
  })
  .meta({ id: "GraphQLAnswer" });

type Resolver = (context: ManageContext, args: unknown, selection: readonly GraphQlField[]) => Promise<Resolved>;

/** Maps, because a client may ask for `constructor`, which every object has. */
const QUERIES: ReadonlyMap<string, Resolver> = new Map(Object.entries({ myself, gpuTypes }));
const MUTATIONS: ReadonlyMap<string, Resolver> = new Map(
  Object.entries({ saveEndpoint, saveTemplate, updateEndpointTemplate, deleteEndpoint }),
);

/** What to use in place of fields that people look for. */
const IN_PLACE: ReadonlyMap<string, string> = new Map([
  ["deleteTemplate", "DELETE /v2/templates/{id}"],
  ["endpoint", "GET /v2/serverless/{id}"],
  ["podFindAndDeployOnDemand", "an endpoint with workers of your own"],
  ["deployCpuPod", "an endpoint with workers of your own"],
  ["pod", "an endpoint with workers of your own"],
]);

export const GRAPHQL_ROUTE = route({
  method: "POST",
  path: "/graphql",
  dialect: { readKey, refuse },
  enter: (c, key) => authenticate(c.req.raw.headers, c.env, Date.now(), key(c.req.raw.headers)),
  handler: answer,
});

export const GRAPHQL_OPERATION: DescribedOperation = {
  method: "POST",
  path: "/graphql",
  doc: {
    id: "callGraphQl",
    summary: "Call one field of RunPod's GraphQL",
    description: `Queries: ${[...QUERIES.keys()].join(", ")}; mutations, which need the scope manage: ${[...MUTATIONS.keys()].join(", ")}. One field at a time, its arguments inline. Any other field is an error that names what to use.`,
    tag: "GraphQL",
    plane: "graphql",
    scopes: ["jobs", "manage"],
    params: null,
    query: null,
    body: bodySchema,
    kind: "acts",
    answers: { 200: { description: "The data, or why there is none", schema: answerSchema } },
    refusals: [400, 413],
  },
};

async function answer(c: RouteContext, caller: Caller): Promise<Answered> {
  const nowMs = Date.now();
  const counted = countCall(caller, nowMs);
  const query = counted.failure === null ? await readQuery(c) : fail(counted.failure);
  const answered = query.ok ? await serve(c, caller, query.value, nowMs) : query;
  const response = answered.ok
    ? jsonAnswer(200, { data: answered.value }, c.get("requestId"))
    : refuse(c, answered.failure, query.ok ? KEPT_STATUSES : null);
  for (const [name, value] of Object.entries(counted.headers)) response.headers.set(name, value);
  return response;
}

async function readQuery(c: RouteContext): Promise<Result<string>> {
  const text = await readBodyText(c.req.raw);
  if (!text.ok) return text;
  const body = checkBody(bodySchema, text.value);
  return body.ok ? ok(body.value.query) : body;
}

async function serve(c: RouteContext, caller: Caller, query: string, nowMs: number): Promise<Result<object>> {
  const document = parseGraphQl(query);
  if ("problem" in document) return fail({ kind: "wrong_state", message: document.problem });
  const { field } = document;
  const resolver = (document.operation === "mutation" ? MUTATIONS : QUERIES).get(field.name);
  if (resolver === undefined)
    return notServed(field.name, IN_PLACE.get(field.name) ?? "RunPod's REST routes under /v2");
  const scopes = document.operation === "mutation" ? (["manage"] as const) : (["jobs", "manage"] as const);
  const allowed = requireScope(caller, ...scopes);
  if (!allowed.ok) return allowed;
  const context = { env: c.env, caller, nowMs, requestId: c.get("requestId"), creation: null, ifMatch: null };
  const resolved = await resolver(context, field.args, field.selection);
  return resolved.ok ? ok({ [field.name]: select(resolved.value, field.selection) }) : resolved;
}

/** The members that the query names, each of them null where the value has it not. */
function select(value: unknown, selection: readonly GraphQlField[]): unknown {
  if (Array.isArray(value)) return value.map((item) => select(item, selection));
  if (typeof value !== "object" || value === null || selection.length === 0) return value;
  const members = new Map(Object.entries(value));
  return Object.fromEntries(selection.map((one) => [one.name, select(members.get(one.name) ?? null, one.selection)]));
}

/** Statuses that a client or a proxy acts on; every other failure is one of the field, and so of status 200. */
const KEPT_STATUSES: ReadonlySet<number> = new Set([401, 405, 413, 429, 503]);

/**
 * RunPod's clients show the first message, and break on an empty list or on another form. `kept`: the statuses that are answered as
 * they are; null: every one, because the request has no query that could be answered.
 */
function refuse(c: RouteContext, failure: Failure, kept: ReadonlySet<number> | null = KEPT_STATUSES): Response {
  const { status, message, headers } = wireOf(failure);
  const body = { errors: [{ message: detailOf(failure, message) }] };
  return jsonAnswer(kept === null || kept.has(status) ? status : 200, body, c.get("requestId"), headers);
}
