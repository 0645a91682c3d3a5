// What the OpenAPI document says of the routes of jobs, OpenAI and load-balanced endpoints: the table of routes has their handlers,
// which scan bodies and never parse them. test/http/openapi/document.test.ts finds a route that is missing here.
import * as z from "zod";
import {
  acceptedSchema,
  healthSchema,
  jobListSchema,
  jobSchema,
  purgedSchema,
  streamPageSchema,
  submitSchema,
} from "../contract/job-answers.ts";
import { CALLS_WINDOW_SECONDS, OPERATION_LIMITS, OPERATIONS, type Operation } from "../core/access/limits.ts";
import {
  POLICY_MAX_MS,
  STREAM_HOLD_MS,
  TTL_MIN_MS,
  WAIT_DEFAULT_MS,
  WAIT_MAX_MS,
  WAIT_MIN_MS,
} from "../core/limits.ts";
import { endpointParams } from "./kit/endpoint-params.ts";
import type { DescribedOperation, Method, OperationDoc } from "./kit/operation-doc.ts";

const ofJob = endpointParams.extend({ id: z.string().meta({ description: "Id of a job" }) });

function waitQuery(defaultMs: number) {
  return z.object({
    wait: z
      .int()
      .min(WAIT_MIN_MS)
      .max(WAIT_MAX_MS)
      .optional()
      .meta({ description: `Milliseconds that the answer may be held; ${defaultMs} without it` }),
  });
}

const ttlQuery = z.object({
  ttl: z
    .int()
    .min(TTL_MIN_MS)
    .max(POLICY_MAX_MS)
    .optional()
    .meta({ description: "Milliseconds for which the result is kept from this call on" }),
});

/** Refusals of a call with a body of the client's. */
const SUBMIT_REFUSALS = [400, 413, 415, 422];

type Described = Partial<OperationDoc> & Pick<OperationDoc, "id" | "summary" | "description" | "answers">;

/** How often the calls may be made that count as this operation. */
function limitText(operation: Operation): string {
  const { calls, open } = OPERATION_LIMITS[operation];
  const atOnce = open === null ? "" : `, and ${open} open at once,`;
  return (
    `A key may make ${calls} calls of \`${operation}\` in ${CALLS_WINDOW_SECONDS} s${atOnce} at one endpoint, unless its operator sets ` +
    "other limits; each isolate of the deployment counts for itself."
  );
}

/** What the calls of a path are counted as, if it is not what its last word is. */
const COUNTED_AS: Readonly<Record<string, Operation>> = { retry: "run", health: "status", stream: "status" };

function operationOf(path: string): Operation {
  const [word = ""] = path.split("/");
  const operation = COUNTED_AS[word] ?? OPERATIONS.findLast((each) => word.startsWith(each));
  if (operation === undefined) throw new Error(`the calls of ${path} are not counted`);
  return operation;
}

function job(method: Method, path: string, doc: Described): DescribedOperation {
  const common = { plane: "jobs", tag: "Jobs", scopes: ["jobs"], query: null, body: null, refusals: [400] } as const;
  const kind = method === "GET" ? "reads" : "acts";
  const params = path.includes(":id") ? ofJob : endpointParams;
  const description = `${doc.description} ${limitText(operationOf(path))}`;
  return { method, path: `/v2/:endpoint/${path}`, doc: { ...common, kind, params, ...doc, description } };
}

/** RunPod's Go client posts where the others get. */
function posted(got: readonly DescribedOperation[]): DescribedOperation[] {
  const isBoth = ({ path }: DescribedOperation) => /\/(?:status|status-sync|stream)\/:id$/.test(path);
  return got.filter(isBoth).map(({ path, doc }) => ({
    method: "POST",
    path,
    doc: { ...doc, id: `${doc.id}ByPost`, description: `As GET, for RunPod's Go client. ${doc.description}` },
  }));
}

const JOBS: readonly DescribedOperation[] = [
  job("POST", "run", {
    id: "run",
    summary: "Submit a job",
    description:
      "Answers at once with the job's id. An input that does not fit the endpoint's input schema is refused, with what is wrong in `errors`. " +
      "An Idempotency-Key makes a repeated call get the job of the first; ask for the result by its status.",
    kind: "creates",
    body: submitSchema,
    answers: { 200: { description: "The job is stored and cannot be lost", schema: acceptedSchema } },
    refusals: SUBMIT_REFUSALS,
  }),
  job("POST", "runsync", {
    id: "runSync",
    summary: "Submit a job and wait for its result",
    description:
      "A job that is not done when the wait is over answers as it stands and runs on. The header x-job-id names it.",
    kind: "creates",
    query: waitQuery(WAIT_DEFAULT_MS),
    body: submitSchema,
    answers: { 200: { description: "The job as it stands", schema: jobSchema } },
    refusals: [...SUBMIT_REFUSALS, 410],
  }),
  job("GET", "status/:id", {
    id: "getStatus",
    summary: "Read a job's state and result",
    description: "While the job waits, `queue` gives the reason.",
    query: ttlQuery,
    answers: { 200: { description: "The job", schema: jobSchema } },
  }),
  job("GET", "status-sync/:id", {
    id: "waitForStatus",
    summary: "Wait for a job's result",
    description: "Answers when the job is over, or when the wait is.",
    query: waitQuery(WAIT_DEFAULT_MS),
    answers: { 200: { description: "The job as it stands", schema: jobSchema } },
  }),
  job("GET", "stream/:id", {
    id: "readStream",
    summary: "Read the chunks of a streaming job",
    description:
      "Hands out each chunk once. With `Accept: text/event-stream` the answer is a stream of events that any number of readers can " +
      "follow, and resume by Last-Event-ID.",
    query: waitQuery(STREAM_HOLD_MS),
    answers: {
      200: {
        description: "The chunks since the last call",
        schema: streamPageSchema,
        otherTypes: ["text/event-stream"],
      },
      204: { description: "The reader has had the last event already", schema: null },
    },
  }),
  job("POST", "cancel/:id", {
    id: "cancelJob",
    summary: "Cancel a job",
    description: "A job that is over keeps its state.",
    answers: { 200: { description: "The job, without its output", schema: jobSchema } },
  }),
  job("POST", "retry/:id", {
    id: "retryJob",
    summary: "Run a failed job again",
    description: "With the same id and input.",
    answers: { 200: { description: "The job waits again", schema: acceptedSchema } },
  }),
  job("POST", "purge-queue", {
    id: "purgeQueue",
    summary: "Cancel all waiting jobs",
    description: "Of the key's tenant, in this endpoint.",
    answers: { 200: { description: "How many there were", schema: purgedSchema } },
  }),
  job("GET", "health", {
    id: "getHealth",
    summary: "Count jobs and workers",
    description: "Works for load-balanced endpoints, too.",
    answers: { 200: { description: "The counts", schema: healthSchema } },
  }),
  job("GET", "requests", {
    id: "listRequests",
    summary: "List the newest jobs",
    description: "Of the key's tenant. Large outputs are in each job's own status alone.",
    answers: { 200: { description: "The jobs", schema: jobListSchema } },
  }),
];

const openAiBody = z.looseObject({ model: z.string().optional(), stream: z.boolean().optional() }).meta({
  id: "OpenAIRequest",
  description: "As OpenAI's API has it, and whatever else the server behind the endpoint takes",
});
const openAiAnswer = z.looseObject({}).meta({ id: "OpenAIAnswer", description: "As OpenAI's API has it" });

function openAi(method: Method, route: string, id: string, summary: string): DescribedOperation {
  const isPost = method === "POST";
  const answer = {
    description: "The server's answer",
    schema: openAiAnswer,
    otherTypes: isPost ? ["text/event-stream"] : [],
  };
  const doc: OperationDoc = {
    plane: "openai",
    tag: "OpenAI",
    id,
    summary,
    description: `${OPENAI_TEXT} The header x-job-id of the answer names its job. ${limitText("openai")}`,
    scopes: ["jobs"],
    kind: isPost ? "acts" : "reads",
    params: endpointParams,
    query: null,
    body: isPost ? openAiBody : null,
    answers: { 200: answer },
    refusals: [400, 413, 415, 502, 504],
  };
  return { method, path: `/v2/:endpoint/openai/v1/${route}`, doc };
}

const OPENAI_TEXT =
  "An endpoint is an OpenAI server, which has more routes than these: each is open if the endpoint's inferenceRoutes name it.";

const OPENAI: readonly DescribedOperation[] = [
  openAi("POST", "chat/completions", "createChatCompletion", "Chat"),
  openAi("POST", "completions", "createCompletion", "Complete a text"),
  openAi("POST", "embeddings", "createEmbeddings", "Embed texts"),
  openAi("POST", "responses", "createResponse", "Make a response"),
  openAi("GET", "models", "listModels", "List models"),
];

function loadBalanced(method: Method, id: string): DescribedOperation {
  const params = endpointParams.extend({
    path: z.string().meta({ description: "Any path of the worker's, with slashes" }),
  });
  const doc: OperationDoc = {
    plane: "lb",
    tag: "Load-balanced",
    id,
    summary: `${method} anything of a worker`,
    description:
      "Any method, path, query, body, stream or WebSocket goes to a worker that is ready, and its answer comes back as it is. Waits up " +
      "to two minutes for a free slot. X-Runpod-Worker-Id of an answer names its worker; sent back, it asks for the same one.",
    scopes: ["jobs"],
    kind: "acts",
    params,
    query: null,
    body: null,
    answers: {
      200: {
        description: "The worker's answer, which may have any status and type",
        schema: null,
        otherTypes: ["*/*"],
      },
    },
    refusals: [400, 413, 502, 504],
  };
  return { method, path: "/lb/:endpoint/:path", doc };
}

/** Routes that clients of jobs call. */
export const JOB_OPERATIONS: readonly DescribedOperation[] = [
  ...JOBS,
  ...posted(JOBS),
  ...OPENAI,
  loadBalanced("GET", "getFromWorker"),
  loadBalanced("POST", "postToWorker"),
];
