// Makes the OpenAPI 3.1 document of operations: their schemas are those that calls are checked by, so the two cannot differ.
import type * as z from "zod";
import { IDEMPOTENCY_KEY_MAX_CHARS } from "../../core/limits.ts";
import { type AnswerDoc, type DescribedOperation, isManaged, type OperationDoc } from "../kit/operation-doc.ts";
import { errorFormOf, MEANINGS, refusalsOf } from "./refusals.ts";
import { type Json, type RenderedSchemas, renderSchemas } from "./schemas.ts";

/** What a document says of itself. */
export interface DocumentInfo {
  readonly title: string;
  readonly version: string;
  readonly description: string;
}

/** Tag → what its operations are about; a tag that is not listed comes last, without a description. */
export type TagTexts = Readonly<Record<string, string>>;

/** The whole document, as a value for JSON. */
export function makeDocument(operations: readonly DescribedOperation[], info: DocumentInfo, tagTexts: TagTexts): Json {
  const schemas = renderSchemas(collect(operations));
  const paths: Record<string, Json> = {};
  for (const operation of operations) {
    const path = operation.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: describe(operation, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: { ...info, license: { name: "MIT", identifier: "MIT" } },
    servers: [{ url: "/", description: "This deployment" }],
    tags: tagsOf(operations, tagTexts),
    security: [{ bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: {
          type: "http",
          scheme: "bearer",
          description: "An API key of Waybill's: `Authorization: Bearer wb_live_…`",
        },
      },
      headers: HEADERS,
      responses: refusalAnswers(operations, schemas),
      schemas: schemas.components,
    },
  };
}

const header = (description: string, type = "string"): Json => ({ description, schema: { type } });

const HEADERS: Json = {
  "X-Request-Id": header("The id of this request in the deployment's log"),
  RateLimit: header("What is left of each quota, as in draft-ietf-httpapi-ratelimit-headers"),
  "RateLimit-Policy": header("The quotas of a key, counted in each of the deployment's isolates apart"),
  "Retry-After": header("Seconds to wait", "integer"),
  ETag: header("The version of what the answer shows, for If-Match"),
  Allow: header("The methods of this path"),
};

function headerRefs(names: readonly string[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function collect(operations: readonly DescribedOperation[]) {
  const input = new Set<z.ZodType>();
  const output = new Set<z.ZodType>();
  for (const { doc } of operations) {
    for (const part of [doc.params, doc.query]) {
      for (const field of Object.values<z.ZodType>(part?.shape ?? {})) input.add(field);
    }
    if (doc.body !== null) input.add(doc.body);
    for (const { schema } of Object.values(doc.answers)) if (schema !== null) output.add(schema);
    output.add(errorFormOf(doc.plane).schema);
  }
  return { input, output };
}

function tagsOf(operations: readonly DescribedOperation[], texts: TagTexts): Json[] {
  const used = new Set(operations.map(({ doc }) => doc.tag));
  const names = [...Object.keys(texts).filter((name) => used.has(name)), ...used];
  return [...new Set(names)].map((name) => (texts[name] === undefined ? { name } : { name, description: texts[name] }));
}

function describe({ path, doc }: DescribedOperation, schemas: RenderedSchemas): Json {
  const parameters = parametersOf(path, doc, schemas);
  return {
    operationId: doc.id,
    summary: doc.summary,
    description: `${doc.description} ${scopesText(doc)}`,
    tags: [doc.tag],
    ...(doc.scopes.length === 0 ? { security: [] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(doc.body === null ? {} : { requestBody: requestBodyOf(doc.body, schemas) }),
    responses: { ...answersOf(doc, schemas), ...refusalRefs(path, doc) },
  };
}

function scopesText({ scopes }: OperationDoc): string {
  return scopes.length === 0 ? "Needs no key." : `Needs a key with the scope ${scopes.join(" or ")}.`;
}

function parametersOf(path: string, doc: OperationDoc, schemas: RenderedSchemas): Json[] {
  const { params, query } = doc;
  const inPath = [...path.matchAll(/:(\w+)/g)].map(([, name = ""]) =>
    parameter("path", name, params?.shape[name] ?? null, schemas),
  );
  const inQuery = Object.entries<z.ZodType>(query?.shape ?? {}).map(([name, schema]) =>
    parameter("query", name, schema, schemas),
  );
  return [...inPath, ...inQuery, ...preconditionsOf(doc)];
}

function parameter(place: "path" | "query", name: string, field: z.ZodType | null, schemas: RenderedSchemas): Json {
  const { description, ...schema } = field === null ? { type: "string" } : (schemas.input.get(field) ?? {});
  const required = place === "path" || (field !== null && !field.safeParse(undefined).success);
  return { name, in: place, required, ...(description === undefined ? {} : { description }), schema };
}

/** Idempotency-Key and If-Match. Routes of jobs take a key as the draft standard has it, without spaces, commas and quotes. */
function preconditionsOf({ kind, plane }: OperationDoc): Json[] {
  if (kind === "creates") {
    const pattern = isManaged(plane) ? "^[!-~]([ -~]{0,253}[!-~])?$" : "^[!#-+.-~-]+$";
    const schema = { type: "string", minLength: 1, maxLength: IDEMPOTENCY_KEY_MAX_CHARS, pattern };
    return [{ name: "Idempotency-Key", in: "header", required: false, description: REPEATED, schema }];
  }
  if (kind !== "changes") return [];
  // An empty one does not reach the Worker: workerd drops it.
  const schema = { type: "string", pattern: '^(\\*|(W/)?"[0-9]{1,15}"|[0-9]{1,15})?$' };
  return [{ name: "If-Match", in: "header", required: false, description: EXPECTED, schema }];
}

const REPEATED =
  "A call that is repeated with the same key within a day creates nothing and gets what the first one made";
const EXPECTED = 'The version that is to be changed, such as `"3"`: with another one the answer is 412';

/** A body may be left out where `{}` would do. */
function requestBodyOf(body: z.ZodType, schemas: RenderedSchemas): Json {
  const required = !body.safeParse({}).success;
  return { required, content: { "application/json": { schema: schemas.input.get(body) } } };
}

const LIMITED_HEADERS = ["X-Request-Id", "RateLimit", "RateLimit-Policy"];

function answersOf({ plane, kind, scopes, params, answers }: OperationDoc, schemas: RenderedSchemas): Json {
  const isKeyed = isManaged(plane) && scopes.length > 0;
  const isLimited = isKeyed || plane === "jobs" || plane === "openai";
  const hasVersion = isKeyed && (kind === "creates" || kind === "changes" || (kind === "reads" && params !== null));
  const names = [...(isLimited ? LIMITED_HEADERS : ["X-Request-Id"]), ...(hasVersion ? ["ETag"] : [])];
  const shown = Object.entries(answers).map(([status, answer]) => {
    const content = contentOf(answer, schemas);
    const isEmpty = Object.keys(content).length === 0;
    return [status, { description: answer.description, headers: headerRefs(names), ...(isEmpty ? {} : { content }) }];
  });
  return Object.fromEntries(shown);
}

function contentOf({ schema, mediaType, otherTypes = [] }: AnswerDoc, schemas: RenderedSchemas): Json {
  const json = schema === null ? {} : { "application/json": { schema: schemas.output.get(schema) } };
  const types = mediaType === undefined ? otherTypes : [mediaType, ...otherTypes];
  return { ...json, ...Object.fromEntries(types.map((type) => [type, {}])) };
}

function refusalRefs(path: string, doc: OperationDoc): Json {
  const { name } = errorFormOf(doc.plane);
  return Object.fromEntries(
    refusalsOf({ path, doc }).map((status) => [status, { $ref: `#/components/responses/${name}${status}` }]),
  );
}

function refusalAnswers(operations: readonly DescribedOperation[], schemas: RenderedSchemas): Json {
  const found: Json = {};
  for (const { path, doc } of operations) {
    const { name, type, schema } = errorFormOf(doc.plane);
    for (const status of refusalsOf({ path, doc })) {
      const headers = headerRefs(["X-Request-Id", ...(REFUSAL_HEADERS[status] ?? [])]);
      const content = { [type]: { schema: schemas.output.get(schema) } };
      found[`${name}${status}`] = { description: MEANINGS[status] ?? "A refusal", headers, content };
    }
  }
  return found;
}

const REFUSAL_HEADERS: Readonly<Record<number, readonly string[]>> = {
  405: ["Allow"],
  429: ["Retry-After"],
  503: ["Retry-After"],
};
