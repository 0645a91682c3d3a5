// One request on its way: what Hono passes to every handler, and work that goes on when the answer has begun.
import type { Context } from "hono";

export interface Routing {
  Bindings: Env;
  /** `answering`: what still goes on when the answer has begun; absent: nothing. */
  Variables: { requestId: string; answering?: Promise<unknown> };
}

export type RouteContext = Context<Routing>;

/** Keeps work alive that goes on when the answer has begun, also when the client has gone. The request is over when it is. */
export function keepAnswering(c: RouteContext, work: Promise<unknown>): void {
  c.executionCtx.waitUntil(work);
  c.set("answering", work);
}

/**
 * Goes on to its end, though the client has gone: the platform ends the invocation of a client that leaves, and a lease that the
 * broker was giving at that moment would hold its slot until it runs out.
 */
export function finishAnyway<T>(c: RouteContext, work: Promise<T>): Promise<T> {
  c.executionCtx.waitUntil(work.catch(() => undefined));
  return work;
}
