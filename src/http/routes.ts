// The route table: every path that Waybill answers, except those of load-balanced endpoints, which belong to their
// workers (lb/target.ts). Another method of a path gets 405, another path 404.

import { GRAPHQL_OPERATION, GRAPHQL_ROUTE } from "./graphql/request.ts";
import { JOB_OPERATIONS } from "./job-docs.ts";
import { cancel, retry, status, statusSync } from "./jobs/job.ts";
import { health, purgeQueue, requests } from "./jobs/queue.ts";
import { run } from "./jobs/run.ts";
import { runsync } from "./jobs/runsync.ts";
import { stream } from "./jobs/stream.ts";
import { alive } from "./kit/alive.ts";
import { counted } from "./kit/call-limit.ts";
import { enterAnybody, enterAnyEndpoint, enterEndpoint, enterJob } from "./kit/enter.ts";
import { forPages } from "./kit/enter-token.ts";
import type { DescribedOperation } from "./kit/operation-doc.ts";
import { type Route, route } from "./kit/route.ts";
import { AUDIT_ROUTES } from "./manage/audit.ts";
import { CONFIGURE_ROUTES } from "./manage/configure.ts";
import { DEPTH_ROUTES } from "./manage/depth.ts";
import { OWN_ENDPOINT_ROUTES } from "./manage/endpoints.ts";
import { EXPORT_ROUTES } from "./manage/export.ts";
import { GPU_TYPE_ROUTES } from "./manage/gpu-types.ts";
import { INPUT_SCHEMA_ROUTES } from "./manage/input-schema.ts";
import { JOB_ROUTES } from "./manage/job.ts";
import { JOB_LIST_ROUTES } from "./manage/jobs.ts";
import { KEY_ROUTES } from "./manage/keys.ts";
import { ME_ROUTES } from "./manage/me.ts";
import { PROVIDER_ROUTES } from "./manage/providers.ts";
import { RATE_ROUTES } from "./manage/rates.ts";
import { SCALING_ROUTES } from "./manage/scaling.ts";
import { SIZING_ROUTES } from "./manage/sizing.ts";
import { TENANT_ROUTES } from "./manage/tenants.ts";
import { TIMING_ROUTES } from "./manage/timing.ts";
import { TOKEN_ROUTES } from "./manage/tokens.ts";
import { UPSTREAM_ROUTES } from "./manage/upstreams.ts";
import { USAGE_ROUTES } from "./manage/usage.ts";
import { WEBHOOK_ROUTES } from "./manage/webhooks.ts";
import { WORKER_KEY_ROUTES } from "./manage/worker-keys.ts";
import { OWN_WORKER_ROUTES } from "./manage/workers.ts";
import { OPENAI } from "./openai/dialect.ts";
import { openAi } from "./openai/request.ts";
import { openApiRoutes } from "./openapi/routes.ts";
import { BILLING_ROUTES } from "./runpod/billing.ts";
import { CATALOG_ROUTES } from "./runpod/catalog.ts";
import { ENDPOINT_ROUTES } from "./runpod/endpoints.ts";
import { RELEASE_ROUTES } from "./runpod/releases.ts";
import { TEMPLATE_ROUTES } from "./runpod/templates.ts";
import { WORKER_ROUTES } from "./runpod/workers.ts";
import { PUBLIC_OPERATIONS, WORKER_OPERATIONS } from "./worker-docs.ts";
import { enterWorker, enterWorkerJob } from "./workers/auth.ts";
import { callback } from "./workers/callback.ts";
import { awaitStops, ping, takeBatch, takeOne } from "./workers/polls.ts";
import { done } from "./workers/results.ts";
import { postChunk } from "./workers/stream.ts";

const ENDPOINT = "/v2/:endpoint";

/** The management API: its paths come before those of jobs. */
export const MANAGEMENT_ROUTES: readonly Route[] = [
  ...openApiRoutes(() => OPERATIONS),
  ...ENDPOINT_ROUTES,
  ...RELEASE_ROUTES,
  ...TEMPLATE_ROUTES,
  ...CATALOG_ROUTES,
  ...BILLING_ROUTES,
  ...WORKER_ROUTES,
  ...OWN_ENDPOINT_ROUTES,
  ...INPUT_SCHEMA_ROUTES,
  ...JOB_LIST_ROUTES,
  ...TENANT_ROUTES,
  ...WEBHOOK_ROUTES,
  ...KEY_ROUTES,
  ...TOKEN_ROUTES,
  ...ME_ROUTES,
  ...UPSTREAM_ROUTES,
  ...WORKER_KEY_ROUTES,
  ...PROVIDER_ROUTES,
  ...GPU_TYPE_ROUTES,
  ...SIZING_ROUTES,
  ...RATE_ROUTES,
  ...OWN_WORKER_ROUTES,
  ...SCALING_ROUTES,
  ...TIMING_ROUTES,
  ...JOB_ROUTES,
  ...DEPTH_ROUTES,
  ...USAGE_ROUTES,
  ...CONFIGURE_ROUTES,
  ...AUDIT_ROUTES,
  ...EXPORT_ROUTES,
];

export const ROUTES: readonly Route[] = [
  GRAPHQL_ROUTE,

  route({
    method: "POST",
    path: `${ENDPOINT}/run`,
    ...forPages("submit", counted("run", enterEndpoint)),
    handler: run,
  }),
  route({
    method: "POST",
    path: `${ENDPOINT}/runsync`,
    ...forPages("submit", counted("runsync", enterEndpoint)),
    handler: runsync,
  }),
  // These six a token for browsers opens, with the scope that is named, and no other route.
  // RunPod's Go client uses POST where the other clients use GET.
  route({
    method: ["GET", "POST"],
    path: `${ENDPOINT}/status/:id`,
    ...forPages("status", counted("status", enterJob)),
    handler: status,
  }),
  route({
    method: ["GET", "POST"],
    path: `${ENDPOINT}/status-sync/:id`,
    ...forPages("status", counted("status", enterJob)),
    handler: statusSync,
  }),
  route({
    method: ["GET", "POST"],
    path: `${ENDPOINT}/stream/:id`,
    head: false,
    ...forPages("stream", counted("status", enterJob)),
    handler: stream,
  }),
  route({
    method: "POST",
    path: `${ENDPOINT}/cancel/:id`,
    ...forPages("cancel", counted("cancel", enterJob)),
    handler: cancel,
  }),
  route({ method: "POST", path: `${ENDPOINT}/retry/:id`, enter: counted("run", enterJob), handler: retry }),
  route({
    method: "POST",
    path: `${ENDPOINT}/purge-queue`,
    enter: counted("purge-queue", enterEndpoint),
    handler: purgeQueue,
  }),
  route({ method: "GET", path: `${ENDPOINT}/health`, enter: counted("status", enterAnyEndpoint), handler: health }),
  route({ method: "GET", path: `${ENDPOINT}/requests`, enter: counted("requests", enterEndpoint), handler: requests }),

  route({
    method: "ALL",
    path: `${ENDPOINT}/openai/*`,
    dialect: OPENAI,
    enter: counted("openai", enterEndpoint),
    handler: openAi,
  }),

  // Workers that pull.
  route({ method: "GET", path: `${ENDPOINT}/job-take/:worker`, head: false, enter: enterWorker, handler: takeOne }),
  route({
    method: "GET",
    path: `${ENDPOINT}/job-take-batch/:worker`,
    head: false,
    enter: enterWorker,
    handler: takeBatch,
  }),
  route({ method: "GET", path: `${ENDPOINT}/job-stop/:worker`, head: false, enter: enterWorker, handler: awaitStops }),
  route({ method: "GET", path: `${ENDPOINT}/ping/:worker`, enter: enterWorker, handler: ping }),
  route({ method: "POST", path: `${ENDPOINT}/job-done/:worker/:job`, enter: enterWorkerJob, handler: done }),
  route({ method: "POST", path: `${ENDPOINT}/job-stream/:worker/:job`, enter: enterWorkerJob, handler: postChunk }),
  // Upstreams that call back: only the MAC at the end of the path lets a caller in.
  route({ method: "POST", path: `${ENDPOINT}/callback/:job/:lease/:mac`, enter: enterAnybody, handler: callback }),

  route({ method: "GET", path: "/", enter: enterAnybody, handler: alive }),
  route({ method: "GET", path: "/healthz", enter: enterAnybody, handler: alive }),
];

/** Everything that the OpenAPI document has: what the management API's routes say of themselves, and what is said of the others. */
export const OPERATIONS: readonly DescribedOperation[] = [
  ...JOB_OPERATIONS,
  ...MANAGEMENT_ROUTES.flatMap(({ methods, path, doc }) =>
    doc === undefined || methods === "ALL" ? [] : methods.map((method) => ({ method, path, doc })),
  ),
  GRAPHQL_OPERATION,
  ...WORKER_OPERATIONS,
  ...PUBLIC_OPERATIONS,
];
