// Load-balanced endpoints: checks the caller, and everything that can be checked before a worker is called.
import { type Failure, fail, ok, type Result } from "../../core/failure.ts";
import { parseAffinity } from "../../core/lb/pool.ts";
import { readKey } from "../kit/auth.ts";
import type { RouteContext } from "../kit/context.ts";
import { enterNamed } from "../kit/enter.ts";
import { bodyStreamOf } from "../kit/request-body.ts";
import { refuse } from "../kit/route.ts";
import { LbExchange } from "./exchange.ts";
import type { LbCall } from "./seat.ts";
import type { LbTarget } from "./target.ts";

/** `fetch` refuses to send a body with these methods, and dropping the body would change the request. */
const BODILESS_METHODS: ReadonlySet<string> = new Set(["GET", "HEAD"]);

/** Lets the caller in and carries its request to a worker. */
export async function forwardToWorker(c: RouteContext, target: LbTarget): Promise<Response> {
  const entered = await enterLoadBalanced(c, target);
  if (!entered.ok) return refuse(c, entered.failure);
  const { method, headers } = c.req.raw;
  if (BODILESS_METHODS.has(method) && bodyStreamOf(c.req.raw) !== null) return refuse(c, BODY_NOT_TAKEN);
  const declared = headers.get("content-length");
  const { bodyMaxBytes } = entered.value.settings;
  if (declared !== null && Number(declared) > bodyMaxBytes) {
    return refuse(c, { kind: "too_large", maxBytes: bodyMaxBytes });
  }
  const answering = new LbExchange(entered.value).run();
  // A client that goes away ends this invocation, but the slot must still be given back.
  c.executionCtx.waitUntil(answering.catch(() => undefined));
  return answering;
}

async function enterLoadBalanced(c: RouteContext, target: LbTarget): Promise<Result<LbCall>> {
  const entered = await enterNamed(c, target.endpoint, "jobs", readKey);
  if (!entered.ok) return entered;
  if (entered.value.settings.kind !== "load_balancer") return fail(NOT_LOAD_BALANCED);
  const affinity = parseAffinity(c.req.raw.headers.get("x-runpod-worker-id"));
  if (affinity !== null) return ok({ ...entered.value, c, target, affinity });
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
