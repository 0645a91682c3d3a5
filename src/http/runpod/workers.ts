// /v2/serverless/{id}/workers: who serves an endpoint, and a stream for each one's log.
import * as z from "zod";
import { workerSummarySchema } from "../../contract/manage/worker.ts";
import type { WorkerView } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { STREAM_COMMENT_EVERY_MS } from "../../core/limits.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { summariseWorkers, WORKER_STATES } from "../../core/manage/worker-summary.ts";
import { readEndpoint } from "../../manage/endpoints.ts";
import { listWorkers } from "../../manage/workers.ts";
import { keepAnswering, type RouteContext } from "../kit/context.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const logParamsSchema = endpointParams.extend({
  worker: z.string().meta({ description: "Id of a worker, as the list of workers has it" }),
});
const logQuerySchema = z.strictObject({
  source: z.enum(["container", "system"]).optional(),
  tail: z.coerce.number().int().min(0).max(5_000).default(100),
  since: z.iso.datetime({ offset: true, error: "must be a time such as 2026-06-01T00:00:00Z" }).optional(),
});

const workersSchema = z.object({
  workers: z.array(
    z
      .object({
        id: z.string(),
        status: z.enum(WORKER_STATES),
        isStale: z.boolean(),
        version: z.int().nullable().meta({ description: "The release that a machine of the fleet was made by" }),
        gpuCount: z.int(),
        image: z.string().nullable(),
        uptimeSeconds: z.int().nullable(),
        gpuTypeId: z.string().nullable().meta({ description: "The GPU that the worker reports" }),
        dataCenterId: z.null(),
        startedAt: z.string().nullable(),
      })
      .meta({ id: "Worker" }),
  ),
  summary: z.object(workerSummarySchema.shape),
  endpointVersion: z.int(),
});

const shared = { plane: "v2", tag: "Serverless", method: "GET", scopes: ["jobs", "manage"], kind: "reads" } as const;
const PATH = "/v2/serverless/:endpoint/workers";

export const WORKER_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    path: PATH,
    id: "listEndpointWorkers",
    summary: "List an endpoint's workers",
    description:
      "Workers that pull, and upstreams that are called. Why one is unhealthy is in /v1/endpoints/{id}/workers.",
    params: endpointParams,
    answers: { 200: { description: "The workers", schema: workersSchema } },
    handle: list,
  }),
  operation({
    ...shared,
    path: `${PATH}/:worker/logs`,
    id: "getWorkerLogs",
    summary: "Follow a worker's log",
    description:
      "Server-sent events. The stream stays open with comments alone: workers send no log lines here, and a handler's output is in its job.",
    params: logParamsSchema,
    query: logQuerySchema,
    answers: { 200: { description: "The log", schema: null, mediaType: "text/event-stream" } },
    handle: followLog,
  }),
];

async function list(call: OperationCall<EndpointParams, unknown, unknown>): Promise<Result<Reply>> {
  const endpoint = await readEndpoint(call, call.caller.tenantId, call.params.endpoint);
  if (!endpoint.ok) return endpoint;
  const found = await listWorkers(call.env, endpoint.value);
  if (!found.ok) return found;
  const { release } = endpoint.value;
  const { gpu, cpu, image = null } = endpoint.value.fleet;
  const workers = found.value.map((worker) => ({
    id: worker.id,
    status: worker.state,
    ...aboutMachine(worker, release, image, call.nowMs),
    // Machines do not report how many GPUs they have, so it is what the endpoint asks for.
    gpuCount: gpu?.count ?? (cpu === null ? 1 : 0),
    gpuTypeId: worker.machine?.gpuTypeId ?? worker.gpu,
    dataCenterId: null,
  }));
  const body = { workers, summary: summariseWorkers(found.value), endpointVersion: release };
  return ok({ status: 200, body });
}

/** What is known of a machine that the fleet has started, and null of any other one. */
function aboutMachine({ machine }: WorkerView, release: number, image: string | null, nowMs: number) {
  if (machine === undefined || machine === null) {
    return { isStale: false, version: null, image: null, uptimeSeconds: null, startedAt: null };
  }
  const isStale = machine.release < release;
  // One that is only wanted, or is being created, is not there yet; a stopped one runs nothing.
  const isUp = machine.phase !== "stopped" && (machine.answeredAtMs ?? machine.readyAtMs) !== null;
  return {
    isStale,
    version: machine.release,
    // Which image an older release had is in the list of releases.
    image: isStale ? null : image,
    uptimeSeconds: isUp ? Math.max(Math.floor((nowMs - machine.startedAtMs) / 1_000), 0) : null,
    startedAt: isUp ? toTimeText(machine.startedAtMs) : null,
  };
}

async function followLog(
  call: OperationCall<z.infer<typeof logParamsSchema>, unknown, unknown>,
): Promise<Result<Reply>> {
  const { c, env, caller, params } = call;
  const lastId = c.req.raw.headers.get("last-event-id");
  if (lastId !== null && Number.isNaN(Date.parse(lastId.split("/")[0] ?? ""))) {
    return fail({ kind: "invalid", field: "Last-Event-ID", message: "must be the id of an event of this stream" });
  }
  const endpoint = await readEndpoint(call, caller.tenantId, params.endpoint);
  if (!endpoint.ok) return endpoint;
  const found = await listWorkers(env, endpoint.value);
  if (!found.ok) return found;
  if (!found.value.some(({ id }) => id === params.worker)) return fail({ kind: "not_found", what: "worker" });
  return ok({ status: 200, events: openStream(c) });
}

/** A reader that has left without a word is let go after this; RunPod's clients follow a log for minutes. */
const STREAM_MAX_MS = 3_600_000;

function openStream(c: RouteContext): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  keepAnswering(c, comment(writable.getWriter()));
  return readable;
}

/** RunPod's newer client gives up after 60 s without a byte, and asks again at once when a stream ends. */
async function comment(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<void> {
  const bytes = new TextEncoder().encode(": no log lines\n\n");
  try {
    for (let openMs = 0; openMs < STREAM_MAX_MS; openMs += STREAM_COMMENT_EVERY_MS) {
      await writer.write(bytes);
      await scheduler.wait(STREAM_COMMENT_EVERY_MS);
    }
    await writer.close();
  } catch (error) {
    // The reader has gone.
    await writer.abort(error).catch(() => undefined);
  }
}
