// /v1/endpoints/{endpoint}/workers, for the endpoint's owner: lists workers, and takes one out of service.
import * as z from "zod";
import { shownWorkerSchema, workerSummarySchema } from "../../contract/manage/worker.ts";
import type { MachineView, WorkerView } from "../../contract/worker.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { summariseWorkers } from "../../core/manage/worker-summary.ts";
import { BrokerClient } from "../../dispatch/broker-client.ts";
import { listWorkers } from "../../manage/workers.ts";
import { type EndpointParams, endpointParams } from "../kit/endpoint-params.ts";
import { findOwnEndpoint } from "../kit/find-endpoint.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";
import { showDollars } from "./shown-line.ts";

const PATH = "/v1/endpoints/:endpoint/workers";
const workerParams = endpointParams.extend({ worker: z.string().meta({ description: "Id of a worker" }) });

const change = { plane: "v1", tag: "Workers", method: "POST", scopes: ["manage", "admin"], kind: "acts" } as const;
const drainSchema = z.object({ id: z.string(), draining: z.boolean() });

export const OWN_WORKER_ROUTES: readonly Route[] = [
  operation({
    plane: "v1",
    tag: "Workers",
    method: "GET",
    path: PATH,
    id: "listOwnWorkers",
    summary: "List an endpoint's workers",
    description: "Workers that pull, and upstreams that are called, each with its state and the reason.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    params: endpointParams,
    query: z.strictObject({}),
    answers: {
      200: {
        description: "The workers",
        schema: z.object({ workers: z.array(shownWorkerSchema), summary: workerSummarySchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...change,
    path: `${PATH}/:worker/drain`,
    id: "drainWorker",
    summary: "Take a worker out of service",
    description:
      "Its open polls are answered and it gets no more jobs; those that it has run on. Do this before you stop it. The machine of a fleet's worker ends after them, and another one is made where one is needed.",
    params: workerParams,
    query: z.strictObject({}),
    answers: { 200: { description: "The worker is drained", schema: drainSchema } },
    handle: (call) => setDraining(call, true),
  }),
  operation({
    ...change,
    path: `${PATH}/:worker/resume`,
    id: "resumeWorker",
    summary: "Bring a drained worker back",
    description: "It gets jobs again, unless it is one of a fleet whose machine has ended meanwhile.",
    params: workerParams,
    query: z.strictObject({}),
    answers: { 200: { description: "The worker is in service", schema: drainSchema } },
    handle: (call) => setDraining(call, false),
  }),
];

type Call<Params> = OperationCall<Params, unknown, unknown>;

async function list(call: Call<EndpointParams>): Promise<Result<Reply>> {
  const { caller, env, params, nowMs } = call;
  const found = await findOwnEndpoint(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const { endpointId: id, tenantId } = found.value.settings;
  const listed = await listWorkers(env, { id, tenantId });
  if (!listed.ok) return listed;
  const views = listed.value;
  return ok({ status: 200, body: { workers: views.map(showWorker), summary: summariseWorkers(views) } });
}

async function setDraining(call: Call<z.infer<typeof workerParams>>, draining: boolean): Promise<Result<Reply>> {
  const found = await enter(call);
  if (!found.ok) return found;
  const { broker, tenantId } = found.value;
  const { worker: workerId } = call.params;
  const drained = await broker.call("drainWorker", { tenantId, workerId, draining });
  if (!drained.ok) return drained;
  return drained.value
    ? ok({ status: 200, body: { id: workerId, draining } })
    : fail({ kind: "not_found", what: "worker" });
}

/** The broker of the endpoint, and whose it is: with the scope admin it need not be the caller's. */
async function enter({ env, caller, params, nowMs }: Call<EndpointParams>) {
  const found = await findOwnEndpoint(params.endpoint, caller, env, nowMs);
  if (!found.ok) return found;
  const { settings } = found.value;
  return ok({ tenantId: settings.tenantId, broker: new BrokerClient(env, settings.endpointId, settings) });
}

function showWorker({ lastSeenAtMs, keyId, gpu, version, reason, machine, ...rest }: WorkerView) {
  return {
    ...rest,
    lastSeenAt: lastSeenAtMs ?? undefined,
    keyId: keyId ?? undefined,
    gpu: gpu ?? undefined,
    version: version ?? undefined,
    reason: reason ?? undefined,
    machine: machine === undefined || machine === null ? undefined : showMachine(machine),
  };
}

function showMachine({ sinceMs, startedAtMs, answeredAtMs, readyAtMs, priceNanodollarsPerHour, ...rest }: MachineView) {
  const times = { since: sinceMs, startedAt: startedAtMs, answeredAt: answeredAtMs, readyAt: readyAtMs };
  return { ...rest, ...times, pricePerHour: showDollars(priceNanodollarsPerHour) };
}
