// One request on its way: what Hono passes to every handler, and work that goes on after the answer has begun.
import type { Context } from "hono";
import type { CallTaken } from "../../core/access/call-counts.ts";

export interface Routing {
  Bindings: Env;
  /** `answering`: work that goes on after the answer has begun; `counted`: what a limited call has taken. Absent: there is none. */
  Variables: { requestId: string; answering?: Promise<unknown>; counted?: CallTaken };
}

export type RouteContext = Context<Routing>;

/** Keeps work alive after the answer has begun, even if the client has gone. The request ends with this work. */
export function keepAnswering(c: RouteContext, work: Promise<unknown>): void {
  c.executionCtx.waitUntil(work);
  c.set("answering", work);
}

/**
 * Runs work to its end though the client has gone: the platform ends the invocation of a client that leaves, and a
 * lease that the broker was giving at that moment would hold its slot until it runs out.
 */
export function finishAnyway<T>(c: RouteContext, work: Promise<T>): Promise<T> {
  c.executionCtx.waitUntil(work.catch(() => undefined));
  return work;
}
