// What the OpenAPI document says of the routes of workers that pull, and of those that need no key.
import * as z from "zod";
import { receivedSchema, takenJobSchema, workerReportSchema } from "../contract/job-answers.ts";
import { endpointParams } from "./kit/endpoint-params.ts";
import type { DescribedOperation, Method, OperationDoc } from "./kit/operation-doc.ts";

const worker = z.string().meta({ description: "The id that the worker gives itself" });
const ofWorker = endpointParams.extend({ worker });
const ofWorkerJob = ofWorker.extend({ job: z.string().meta({ description: "Id of a job that it holds" }) });
const takeShape = {
  gpu: z.string().optional().meta({ description: "The name of the worker's GPU, to be shown" }),
  runpod_version: z.string().optional().meta({ description: "The version of RunPod's SDK" }),
  job_in_progress: z.enum(["0", "1"]).optional().meta({ description: "0: the worker runs nothing" }),
};

type Described = Partial<OperationDoc> & Pick<OperationDoc, "id" | "summary" | "description" | "answers">;

function route(method: Method, path: string, doc: Described): DescribedOperation {
  const common = { plane: "workers", tag: "Pulling workers", scopes: ["worker"], query: null, body: null } as const;
  const kind = method === "GET" ? "reads" : "acts";
  const params = path.includes(":job") ? ofWorkerJob : ofWorker;
  return { method, path: `/v2/:endpoint/${path}`, doc: { ...common, kind, params, ...doc } };
}

const NOTHING = { description: "Nothing came while the call was held", schema: null };
const RECEIVED = { 200: { description: "The report has arrived", schema: receivedSchema } };

/** Routes of workers, as RunPod's SDK calls them. */
export const WORKER_OPERATIONS: readonly DescribedOperation[] = [
  route("GET", "job-take/:worker", {
    id: "takeJob",
    summary: "Take a job",
    description: "Held until a job comes. A refusal is held for 5 s, because RunPod's SDK asks again at once.",
    query: z.object(takeShape),
    answers: { 200: { description: "A job", schema: takenJobSchema }, 204: NOTHING },
  }),
  route("GET", "job-take-batch/:worker", {
    id: "takeJobs",
    summary: "Take several jobs",
    description: "As many as `batch_size` asks for, if the worker's key has that many slots.",
    query: z.object({ ...takeShape, batch_size: z.int().min(1).optional() }),
    answers: { 200: { description: "Jobs", schema: z.array(takenJobSchema) }, 204: NOTHING },
  }),
  route("GET", "job-stop/:worker", {
    id: "awaitStops",
    summary: "Wait for jobs to stop",
    description: "Names each job once that was cancelled or has run for too long.",
    answers: {
      200: { description: "Ids of jobs", schema: z.object({ jobsToStop: z.array(z.string()) }) },
      204: NOTHING,
    },
  }),
  route("GET", "ping/:worker", {
    id: "pingWorker",
    summary: "Send a heartbeat",
    description:
      "Renews the leases of the jobs that it names in `job_id`. `status=unhealthy` reports a failed fitness check, " +
      "`leaving=1` that the worker was told to end: its open polls are answered, and it gets no job until it asks again.",
    query: z.object({
      job_id: z.string().optional(),
      gpu: takeShape.gpu,
      runpod_version: takeShape.runpod_version,
      leaving: z.literal("1").optional(),
      status: z.string().optional(),
      check: z.string().optional(),
      reason: z.string().optional(),
    }),
    answers: {
      200: { description: "The worker is known", schema: z.object({ ok: z.literal(true) }) },
      202: {
        description: "The worker leaves, and an open poll of it will be answered soon",
        schema: z.object({ ok: z.literal(true) }),
      },
    },
  }),
  route("POST", "job-done/:worker/:job", {
    id: "reportResult",
    summary: "Report a result, an error or progress",
    description: "A late or repeated report changes nothing.",
    body: workerReportSchema,
    answers: RECEIVED,
    refusals: [400, 413],
  }),
  route("POST", "job-stream/:worker/:job", {
    id: "postChunk",
    summary: "Post a chunk of a stream",
    description: "Readers of the job's stream get it at once.",
    query: z.object({
      chunk: z.int().min(0).optional().meta({
        description:
          "Its number in the attempt, from 0: a chunk that is posted again counts once. RunPod's SDK sends none",
      }),
    }),
    body: workerReportSchema,
    answers: RECEIVED,
    refusals: [400, 413],
  }),
];

const PUBLIC = {
  plane: "jobs",
  tag: "About",
  scopes: [],
  params: null,
  query: null,
  body: null,
  kind: "reads",
} as const;
const UP = {
  200: { description: "The server is up and its settings are complete", schema: z.object({ ok: z.literal(true) }) },
};
const DOCUMENT = { 200: { description: "An OpenAPI 3.1 document", schema: z.looseObject({ openapi: z.string() }) } };

/** Routes that need no key. The callback of upstreams has none either, but the MAC in its path, which the broker alone makes. */
export const PUBLIC_OPERATIONS: readonly DescribedOperation[] = [
  {
    method: "GET",
    path: "/healthz",
    doc: {
      ...PUBLIC,
      id: "getLiveness",
      summary: "Is the server up?",
      description: "`/` answers the same.",
      answers: UP,
    },
  },
  {
    method: "GET",
    path: "/openapi.json",
    doc: {
      ...PUBLIC,
      id: "getDescription",
      summary: "Read this document",
      description: "Everything that this deployment answers, load-balanced workers apart.",
      answers: DOCUMENT,
    },
  },
  {
    method: "GET",
    path: "/v2/openapi.json",
    doc: {
      ...PUBLIC,
      id: "getManagementDescription",
      summary: "Read the description of RunPod's management API",
      description: "The operations that RunPod's own document has, as far as this deployment has them.",
      answers: DOCUMENT,
    },
  },
];
