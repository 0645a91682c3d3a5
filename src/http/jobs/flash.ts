// /v2/flash: job routes whose endpoint is named in a header, as RunPod's newer Python client calls its Flash apps (runpod/apps/targets.py
// of 2.0.0rc2). Here every endpoint can be called so, by its id, its slug or its name.
import type { Failure } from "../../core/failure.ts";
import { type ReadKey, readKey } from "../kit/auth.ts";
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

const ofEndpoint = {
  dialect,
  enter: (c: RouteContext, readKeyOf: ReadKey) => enterEndpoint(c, readKeyOf, enterAny),
};
const ofJob = { dialect, enter: (c: RouteContext, readKeyOf: ReadKey) => enterJob(c, readKeyOf, enterAny) };

const READS = ["GET", "POST"] as const;
const PATH = "/v2/flash";

export const FLASH_ROUTES: readonly Route[] = [
  route({ ...ofEndpoint, method: "POST", path: `${PATH}/run`, handler: run }),
  route({ ...ofEndpoint, method: "POST", path: `${PATH}/runsync`, handler: runsync }),
  route({ ...ofJob, method: READS, path: `${PATH}/status/:id`, handler: status }),
  route({ ...ofJob, method: READS, path: `${PATH}/status-sync/:id`, handler: statusSync }),
  route({ ...ofJob, method: READS, path: `${PATH}/stream/:id`, head: false, handler: stream }),
  route({ ...ofJob, method: "POST", path: `${PATH}/cancel/:id`, handler: cancel }),
  route({ ...ofJob, method: "POST", path: `${PATH}/retry/:id`, handler: retry }),
  route({ ...ofEndpoint, method: "POST", path: `${PATH}/purge-queue`, handler: purgeQueue }),
  route({ dialect, enter: enterAny, method: "GET", path: `${PATH}/health`, handler: health }),
  route({ ...ofEndpoint, method: "GET", path: `${PATH}/requests`, handler: requests }),
];

/** An endpoint that is not named is a matter of the management plane; all else is answered as job routes do. */
function refuse(c: RouteContext, failure: Failure): Response {
  const isEndpoint = failure.kind === "not_found" && failure.what === "flash endpoint";
  return isEndpoint ? refuseAsRunPodProblem(c, failure) : refuseJob(c, failure);
}
