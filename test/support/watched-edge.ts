// The edge with what a call of it costs: the brokers that it calls, and the statements that it asks of D1.
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { createApp } from "../../src/http/app.ts";
import { watchD1 } from "./d1.ts";

/** `bindings`: in place of those of the tests. `context` of a call: one that the test waits for. */
export function watchEdge(bindings: Partial<Env> = {}) {
  const statements = watchD1();
  const objects: string[] = [];
  const getByName = (name: string) => {
    objects.push(name);
    return env.ENDPOINT_BROKER.getByName(name);
  };
  const namespace = { getByName } as unknown as Env["ENDPOINT_BROKER"];
  const app = createApp();
  const fetch = async (request: Request, context = createExecutionContext()): Promise<Response> =>
    app.fetch(request, { ...env, ...bindings, ENDPOINT_BROKER: namespace }, context);
  return { fetch, statements, objects };
}
