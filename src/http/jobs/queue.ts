// Routes about the caller's jobs of one endpoint together: purge-queue, health, requests.
import { jsonAnswer } from "../kit/answer.ts";
import type { RouteContext } from "../kit/context.ts";
import type { EndpointCall } from "../kit/enter.ts";
import type { Answered } from "../kit/route.ts";
import { requestsAnswer } from "./status-body.ts";

/** Cancels all waiting jobs of the caller and answers how many there were. */
export async function purgeQueue(c: RouteContext, { caller, broker }: EndpointCall): Promise<Answered> {
  const purged = await broker.call("purgeQueue", { tenantId: caller.tenantId });
  return purged.ok
    ? jsonAnswer(200, { removed: purged.value.removed, status: "completed" }, c.get("requestId"))
    : purged;
}

/** Counts of jobs and workers. This is the only route that both kinds of endpoint have. */
export async function health(c: RouteContext, { caller, broker }: EndpointCall): Promise<Answered> {
  const answer = await broker.call("health", { tenantId: caller.tenantId });
  if (!answer.ok) return answer;
  const { jobs, workers } = answer.value;
  return jsonAnswer(200, { jobs, workers }, c.get("requestId"));
}

/** The newest jobs of the caller. */
export async function requests(c: RouteContext, { caller, broker }: EndpointCall): Promise<Answered> {
  const answer = await broker.call("requests", { tenantId: caller.tenantId });
  return answer.ok ? requestsAnswer(c, answer.value.jobs) : answer;
}
