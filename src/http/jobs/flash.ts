// /v2/flash: job routes whose endpoint is named in a header, as RunPod's newer Python client calls its Flash apps (runpod/apps/targets.py
// of 2.0.0rc2). Here every endpoint can be called so, by its id, its slug or its name.
import type { Operation } from "../../core/access/limits.ts";
import type { Failure } from "../../core/failure.ts";
import { type ReadKey, readKey } from "../kit/auth.ts";
import { counted } from "../kit/call-limit.ts";
import type { RouteContext } from "../kit/context.ts";
import { enterEndpoint, enterJob, enterNamed } from "../kit/enter.ts";
import { findEndpointByAnyName } from "../kit/find-endpoint.ts";
import { refuseAsRunPodProblem } from "../kit/problem.ts";
import { type Route, refuse as refuseJob, route } from "../kit/route.ts";
import { cancel, retry, status, statusSync } from "./job.ts";
import { health, purgeQueue, requests } from "./queue.ts";
import { run } from "./run.ts";
import { runsync } from "./runsync.ts";
import { stream } from "./stream.ts";

const dialect = { readKey, refuse };

function enterAny(c: RouteContext, readKeyOf: ReadKey) {
  const name = c.req.raw.headers.get("x-flash-endpoint") ?? "";
  return enterNamed(c, name, "jobs", readKeyOf, findEndpointByAnyName);
}

const ofEndpoint = (operation: Operation) => ({
  dialect,
  enter: counted(operation, (c: RouteContext, readKeyOf: ReadKey) => enterEndpoint(c, readKeyOf, enterAny)),
});
const ofJob = (operation: Operation) => ({
  dialect,
  enter: counted(operation, (c: RouteContext, readKeyOf: ReadKey) => enterJob(c, readKeyOf, enterAny)),
});

const READS = ["GET", "POST"] as const;
const PATH = "/v2/flash";

export const FLASH_ROUTES: readonly Route[] = [
  route({ ...ofEndpoint("run"), method: "POST", path: `${PATH}/run`, handler: run }),
  route({ ...ofEndpoint("runsync"), method: "POST", path: `${PATH}/runsync`, handler: runsync }),
  route({ ...ofJob("status"), method: READS, path: `${PATH}/status/:id`, handler: status }),
  route({ ...ofJob("status"), method: READS, path: `${PATH}/status-sync/:id`, handler: statusSync }),
  route({ ...ofJob("status"), method: READS, path: `${PATH}/stream/:id`, head: false, handler: stream }),
  route({ ...ofJob("cancel"), method: "POST", path: `${PATH}/cancel/:id`, handler: cancel }),
  route({ ...ofJob("run"), method: "POST", path: `${PATH}/retry/:id`, handler: retry }),
  route({ ...ofEndpoint("purge-queue"), method: "POST", path: `${PATH}/purge-queue`, handler: purgeQueue }),
  route({ dialect, enter: counted("status", enterAny), method: "GET", path: `${PATH}/health`, handler: health }),
  route({ ...ofEndpoint("requests"), method: "GET", path: `${PATH}/requests`, handler: requests }),
];

/** An endpoint that is not named is a matter of the management plane; all else is answered as job routes do. */
function refuse(c: RouteContext, failure: Failure): Response {
  const isEndpoint = failure.kind === "not_found" && failure.what === "flash endpoint";
  return isEndpoint ? refuseAsRunPodProblem(c, failure) : refuseJob(c, failure);
}
