// The refusals that each operation of a plane may answer, beside those that it names itself.
import type * as z from "zod";
import {
  graphQlErrorSchema,
  jobErrorSchema,
  openAiErrorSchema,
  problemSchema,
  runPodProblemSchema,
} from "../../contract/manage/problem.ts";
import { type DescribedOperation, type DescribedPlane, isManaged } from "../kit/operation-doc.ts";

interface ErrorForm {
  /** The beginning of the names of its answers among the components. */
  readonly name: string;
  readonly type: string;
  readonly schema: z.ZodType;
}

const PROBLEM = { name: "Problem", type: "application/problem+json", schema: problemSchema };
const JOB_ERROR = { name: "JobError", type: "application/json", schema: jobErrorSchema };

const FORMS: Readonly<Record<DescribedPlane, ErrorForm>> = {
  v1: PROBLEM,
  v2: { name: "RunPodProblem", type: "application/problem+json", schema: runPodProblemSchema },
  jobs: JOB_ERROR,
  workers: JOB_ERROR,
  lb: JOB_ERROR,
  graphql: { name: "GraphQLError", type: "application/json", schema: graphQlErrorSchema },
  openai: { name: "OpenAIError", type: "application/json", schema: openAiErrorSchema },
};

/** How the clients of a plane read failures. */
export function errorFormOf(plane: DescribedPlane): ErrorForm {
  return FORMS[plane];
}

/** What a refusal's status means, for a reader. */
export const MEANINGS: Readonly<Record<number, string>> = {
  400: "The call is not as described: the answer names what is wrong",
  401: "The API key is missing or not valid",
  403: "The key lacks a scope, or is for other endpoints only",
  404: "There is no such thing for this key: an unknown id and a foreign one are answered alike",
  405: "The path has other methods, which the header Allow lists",
  409: "It is taken, or the state of a thing forbids it",
  410: "It is over and no longer kept",
  412: "Another writer was first: the thing has another version than If-Match names",
  413: "The body is too large",
  415: "The body has another type than JSON, or is compressed",
  422: "The body is not as described, or the Idempotency-Key was used with another one",
  429: "Too many calls: Retry-After has the seconds to wait",
  502: "The worker gave no proper answer",
  503: "Something that the call needs does not answer at the moment: try again",
  504: "The worker gave no answer in time",
};

/** The statuses of refusals, in order. */
export function refusalsOf({ path, doc }: Pick<DescribedOperation, "path" | "doc">): number[] {
  const { plane, kind, scopes, params, query, body } = doc;
  const found = new Set(doc.refusals ?? []);
  if (scopes.length > 0) for (const status of [401, 403, 429, 503]) found.add(status);
  // An escaped slash in a name makes it another path.
  if (path.includes(":")) for (const status of [404, 405]) found.add(status);
  if (!isManaged(plane)) return inOrder(found);
  const isChecked = params !== null || query !== null || body !== null;
  if (isChecked || kind === "creates" || kind === "changes") found.add(400);
  if (plane === "v2" && isChecked) found.add(422);
  if (body !== null || kind === "creates") found.add(413);
  if (query?.shape.tenant !== undefined) found.add(404);
  // Of a creation: the tenant or the template that it names.
  if (kind === "creates") for (const status of [404, 409, 422]) found.add(status);
  if (kind === "changes") for (const status of [409, 412]) found.add(status);
  if (kind === "acts") found.add(409);
  return inOrder(found);
}

function inOrder(statuses: ReadonlySet<number>): number[] {
  return [...statuses].sort((a, b) => a - b);
}
