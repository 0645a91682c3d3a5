// Load-balanced endpoints: who may call them, and what is clear before a worker is asked.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { type Affinity, parseAffinity } from "../../core/lb/pool.ts";
import { readKey } from "../kit/auth.ts";
import type { RouteContext } from "../kit/context.ts";
import { type EndpointCall, enterNamed } from "../kit/enter.ts";
import { bodyStreamOf } from "../kit/request-body.ts";
import { refuse } from "../kit/route.ts";
import { LbExchange } from "./exchange.ts";
import type { LbTarget } from "./target.ts";

/** `fetch` refuses to send a body with them, and to drop it would be to change the request. */
const BODILESS_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Lets the caller in and carries its request to a worker. */
export async function forwardToWorker(c: RouteContext, target: LbTarget): Promise<Response> {
  const entered = await enterLoadBalanced(c, target.endpoint);
  if (!entered.ok) return refuse(c, entered.failure);
  const { method, headers } = c.req.raw;
  if (BODILESS_METHODS.has(method) && bodyStreamOf(c.req.raw) !== null) return refuse(c, BODY_NOT_TAKEN);
  const declared = headers.get("content-length");
  const { bodyMaxBytes } = entered.value.call.settings;
  if (declared !== null && Number(declared) > bodyMaxBytes) {
    return refuse(c, { kind: "too_large", maxBytes: bodyMaxBytes });
  }
  const { call, affinity } = entered.value;
  const exchange = new LbExchange({ c, target, affinity, ...call });
  const answering = exchange.run();
  // A client that goes away ends this invocation; the slot must be given back all the same.
  c.executionCtx.waitUntil(answering.catch(() => undefined));
  return answering;
}

async function enterLoadBalanced(
  c: RouteContext,
  name: string,
): Promise<Result<{ readonly call: EndpointCall; readonly affinity: Affinity }>> {
  const entered = await enterNamed(c, name, "jobs", readKey);
  if (!entered.ok) return entered;
  if (entered.value.settings.kind !== "load_balancer") return fail(NOT_LOAD_BALANCED);
  const affinity = parseAffinity(c.req.raw.headers.get("x-runpod-worker-id"));
  if (affinity !== null) return ok({ call: entered.value, affinity });
  const message = "must be empty, ID, strict ID or strict-resume ID";
  return fail({ kind: "invalid", field: "X-Runpod-Worker-Id", message });
}

const NOT_LOAD_BALANCED: Failure = {
  kind: "wrong_state",
  message: "this endpoint is a queue and takes jobs: call it under /v2/",
};

const BODY_NOT_TAKEN: Failure = {
  kind: "invalid",
  field: "body",
  message: "a GET or HEAD with a body cannot be passed on",
};
