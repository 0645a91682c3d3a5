// A tenant with one endpoint of OpenAI servers, and its client as it speaks over HTTP.
import { exports } from "cloudflare:workers";
import * as z from "zod";
import { makeTenant, type TestTenant, type TestTenantOptions } from "./tenant.ts";

interface OpenAiClient {
  readonly tenant: TestTenant;
  ask(path: string, init?: RequestInit): Promise<Response>;
  chat(body: object, signal?: AbortSignal): Promise<Response>;
  /** A call of /run. */
  runs(body: object): Promise<Response>;
  /** A job of /runsync with this input, a JSON text, once it is over. */
  run(input: string): Promise<unknown>;
  status(id: string | null): Promise<unknown>;
  cancel(id: string | null): Promise<unknown>;
  health(): Promise<unknown>;
  usage(): Promise<{ tokens?: object; seconds: number }[]>;
}

/** Makes a tenant whose endpoint has one upstream of the dialect `openai`, unless its options say otherwise. */
export async function openAiClient(options: TestTenantOptions = {}): Promise<OpenAiClient> {
  const upstreams = [{ url: "http://127.0.0.1:9/", dialect: "openai" as const, credential: "sk-upstream" }];
  const tenant = await makeTenant({ upstreams, ...options });
  const fetch = (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization")) headers.set("authorization", `Bearer ${tenant.key}`);
    return exports.default.fetch(new Request(`https://waybill.test${path}`, { ...init, headers }));
  };
  const post = (route: string, body: string) => {
    const headers = { "content-type": "application/json" };
    return fetch(`/v2/${tenant.endpointId}/${route}`, { method: "POST", headers, body });
  };
  const ask = (path: string, init: RequestInit = {}) => fetch(`/v2/${tenant.endpointId}/openai${path}`, init);
  return {
    tenant,
    ask,
    chat: (body, signal) =>
      ask("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    runs: (body) => post("run", JSON.stringify(body)),
    run: async (input) => (await post("runsync", `{"input":${input}}`)).json(),
    status: async (id) => (await fetch(`/v2/${tenant.endpointId}/status/${id}`)).json(),
    cancel: async (id) => (await post(`cancel/${id}`, "{}")).json(),
    health: async () => (await fetch(`/v2/${tenant.endpointId}/health`)).json(),
    usage: async () => {
      const schema = z.object({
        lines: z.array(z.object({ tokens: z.looseObject({}).optional(), seconds: z.number() })),
      });
      return schema.parse(await (await fetch("/v1/usage")).json()).lines.map(({ tokens, seconds }) => ({
        seconds,
        ...(tokens === undefined ? {} : { tokens }),
      }));
    },
  };
}
