// A route of the table: its methods and path, its check of the caller, and its handler. An expected failure of either
// is answered in one place, and the answer to other methods of a path is derived from all its entries.
import type { Hono } from "hono";
import type { Failure, Result } from "../../core/failure.ts";
import { type ReadKey, readKey } from "./auth.ts";
import { answerCounted } from "./call-limit.ts";
import type { ClientDialect } from "./client-dialect.ts";
import type { RouteContext, Routing } from "./context.ts";
import { answerPages } from "./cors.ts";
import { failureAnswer } from "./failures.ts";
import type { Method, OperationDoc } from "./operation-doc.ts";

/** The result of a handler: a response, or an expected failure. */
export type Answered = Response | { readonly ok: false; readonly failure: Failure };

interface RouteSpec<Entered> extends Pick<Route, "path" | "isForPages"> {
  /** `ALL`: the handler checks the method itself. */
  readonly method: Method | readonly Method[] | "ALL";
  /** Hono gives a HEAD to the route of GET and drops the body: `false` where a body can be handed out only once. */
  readonly head?: boolean;
  /** Lets the caller in and finds the things that the path names. */
  readonly enter: (c: RouteContext, readKey: ReadKey) => Promise<Result<Entered>>;
  readonly handler: (c: RouteContext, entered: Entered) => Promise<Answered>;
  /** Where the route's clients put their key and how they read failures; without it, as RunPod clients do. */
  readonly dialect?: Pick<ClientDialect, "readKey" | "refuse">;
}

/** One entry of the table. */
export interface Route {
  readonly methods: readonly Method[] | "ALL";
  readonly path: string;
  readonly head: boolean;
  readonly answer: (c: RouteContext) => Promise<Response>;
  readonly refuse: (c: RouteContext, failure: Failure) => Response;
  /** Pages of the origins that its endpoint allows may call it (enter-token.ts, cors.ts). */
  readonly isForPages?: boolean;
  /** What the OpenAPI document says of it; absent: nothing. */
  readonly doc?: OperationDoc;
}

/** Declares a route; `handler` gets what `enter` returns. */
export function route<Entered>(spec: RouteSpec<Entered>): Route {
  const { method, path, enter, handler, head = true, isForPages = false, dialect = { readKey, refuse } } = spec;
  const answer = async (c: RouteContext): Promise<Response> => {
    try {
      const entered = await enter(c, dialect.readKey);
      const answered = entered.ok ? await handler(c, entered.value) : entered;
      return answerCounted(c, answered instanceof Response ? answered : dialect.refuse(c, answered.failure));
    } catch (bug) {
      c.get("counted")?.leave();
      throw bug;
    }
  };
  const methods = typeof method === "string" && method !== "ALL" ? [method] : method;
  return { methods, path, head, isForPages, answer, refuse: dialect.refuse };
}

/** Registers the routes, and for each of their paths the answer to every other method. */
export function addRoutes(app: Hono<Routing>, routes: readonly Route[]): void {
  const allowed = new Map<string, string[]>();
  for (const { path, methods } of routes) {
    if (methods !== "ALL") allowed.set(path, [...(allowed.get(path) ?? []), ...methods]);
  }
  const notAllowed = (path: string): Failure => ({
    kind: "method_not_allowed",
    allow: (allowed.get(path) ?? []).join(", "),
  });
  for (const { methods, path, head, isForPages, answer, refuse } of routes) {
    if (isForPages) app.use(path, answerPages);
    if (methods === "ALL") app.all(path, answer);
    else if (head) app.on([...methods], path, answer);
    else app.on([...methods], path, (c) => (c.req.raw.method === "HEAD" ? refuse(c, notAllowed(path)) : answer(c)));
  }
  const refusals = new Map(routes.map((one) => [one.path, one.refuse]));
  for (const path of allowed.keys()) app.all(path, (c) => (refusals.get(path) ?? refuse)(c, notAllowed(path)));
}

/** The answer to an expected failure of this request. */
export function refuse(c: RouteContext, failure: Failure): Response {
  return failureAnswer(failure, c.get("requestId"));
}
