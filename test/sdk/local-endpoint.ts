// A local endpoint for tests, and a caller of its routes.
import { onTestFinished } from "vitest";
import type { WorkerConfig } from "../../src/sdk/handler.ts";
import { makeInputCheck } from "../../src/sdk/input-check.ts";
import { LocalEndpoint } from "../../src/sdk/local/endpoint.ts";
import { makeSchemaCheck } from "../../src/sdk/local/input-schema.ts";
import { Repeats } from "../../src/sdk/local/repeats.ts";
import { listen } from "../../src/sdk/local/server.ts";
import { makeLog } from "../../src/sdk/log.ts";
import { reporterOf } from "../../src/sdk/reporter.ts";

export type Answer = Readonly<Record<string, unknown>> & { readonly id: string };

/** Serves it until the test ends. */
export async function serve(config: WorkerConfig, port = 0) {
  const log = makeLog({ isJson: false, level: "ERROR", write: (line) => console.error(line) });
  const endpoint = new LocalEndpoint({
    config,
    check: makeInputCheck(config.input),
    reporter: reporterOf("w1", {}),
    log,
  });
  const served = { endpoint, repeats: new Repeats(endpoint), check: makeSchemaCheck(config, log) };
  const { url, close } = await listen({ host: "localhost", port }, served, log);
  onTestFinished(close);
  const call = (path: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Response> => {
    const given = { "content-type": "application/json", ...headers };
    if (body === undefined) return fetch(`${url}${path}`, { headers: given });
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return fetch(`${url}${path}`, { method: "POST", headers: given, body: text });
  };
  const ask = async (path: string, body?: unknown): Promise<Answer> => (await call(path, body)).json();
  return { url, call, ask };
}

/** A handler that waits until it is let go, and the jobs that have begun, in their order. */
export function makeGate() {
  const begun: unknown[] = [];
  const open: (() => void)[] = [];
  const handler: WorkerConfig["handler"] = ({ input, signal }) => {
    begun.push(input);
    return new Promise((resolve, reject) => {
      open.push(() => resolve(input));
      signal.addEventListener("abort", () => reject(signal.reason));
    });
  };
  /** Lets the job go that has waited longest. */
  const letGo = () => open.shift()?.();
  return { handler, begun, letGo };
}
