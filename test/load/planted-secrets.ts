// Gives a running broker secrets of every kind through its API, and writes down each answer, so that a test can look where they went.
import { randomBytes } from "node:crypto";

export type SecretKind = "key" | "worker key" | "token" | "credential" | "webhook secret" | "env value" | "deployment";

export interface Answer {
  /** What the calling key may do. */
  readonly scopes: readonly string[];
  /** `GET /v1/endpoints/{id}`, with the id as it was sent. */
  readonly call: string;
  readonly status: number;
  readonly text: string;
}

export interface Secret {
  readonly kind: SecretKind;
  readonly text: string;
  /** The answer that hands it out, for those that the broker makes. */
  readonly givenBy: Answer | null;
}

/** A key that the test calls with. */
export interface Caller {
  readonly key: string;
  readonly scopes: readonly string[];
}

/** What one tenant has, by what stands before its id in a path. */
export type Things = Readonly<Record<string, string>>;

export interface PlantedTenant {
  readonly name: string;
  readonly both: Caller;
  readonly callers: readonly Caller[];
  /** A token for browsers of the first endpoint. */
  readonly token: Caller;
  readonly things: Things;
  /** Ids of its endpoint of RunPod's kind and of the one of OpenAI's. */
  readonly endpoints: readonly [string, string];
  readonly upstreams: readonly { readonly endpoint: string; readonly id: string }[];
}

export class Planter {
  readonly secrets: Secret[] = [];
  readonly answers: Answer[] = [];
  readonly #url: string;
  readonly #serverUrl: string;

  /** `serverUrl`: the upstreams' and the webhooks' server. */
  constructor(url: string, serverUrl: string) {
    this.#url = url;
    this.#serverUrl = serverUrl;
  }

  /** Calls, and keeps the answer. A body makes it a POST unless a method is given. */
  async call(caller: Caller, method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const sent = body === undefined || typeof body === "string" ? body : JSON.stringify(body);
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { authorization: `Bearer ${caller.key}`, "content-type": "application/json", ...headers },
      ...(sent === undefined ? {} : { body: sent }),
    });
    const text = await response.text();
    const answer: Answer = { scopes: caller.scopes, call: `${method} ${path}`, status: response.status, text };
    this.answers.push(answer);
    return answer;
  }

  /** One tenant with 25 secrets: 4 keys, 3 worker keys, a token, 7 credentials, 4 webhook secrets and 6 values of environments. */
  async plant(operator: Caller, number: number): Promise<PlantedTenant> {
    const name = `planted-tenant-${number}`;
    const tenant = await this.#create(operator, "/v1/tenants", { name });
    this.#keep("webhook secret", tenant.body.webhookSecret, tenant.answer);
    const make = (scopes: readonly string[]) => this.#makeKey(operator, { tenantId: tenant.body.id, scopes });
    const both = await make(["jobs", "manage"]);
    const callers = [both.caller, (await make(["jobs"])).caller, (await make(["manage"])).caller];
    for (let turn = 0; turn < 2; turn += 1) {
      const rotated = await this.#create(both.caller, "/v1/webhooks/secret/rotate", {});
      this.#keep("webhook secret", rotated.body.secret, rotated.answer);
    }
    const rotated = await this.#create(both.caller, `/v1/keys/${both.id}/rotate`, { overlapSeconds: 600 });
    this.#keep("key", secretPartOf(rotated.body.key), rotated.answer);

    const slug = `planted-${number}`;
    const env = () => ({ NAME_1: this.#invent("env value"), NAME_2: this.#invent("env value") });
    const endpoint = (await this.#create(both.caller, "/v1/endpoints", { slug, maxAttempts: 1, env: env() })).body.id;
    await this.call(both.caller, "PATCH", `/v2/serverless/${endpoint}`, { env: env() });
    const template = { name: slug, image: "an/image", serverless: true, env: env() };
    const templateId = (await this.#create(both.caller, "/v2/templates", template)).body.id;
    const llm = (await this.#create(both.caller, "/v1/endpoints", { slug: `${slug}-llm`, maxAttempts: 1 })).body.id;

    const upstreams = [
      await this.#addUpstream(both.caller, endpoint, { url: "/work", dialect: "http" }),
      await this.#addUpstream(both.caller, endpoint, { url: "", dialect: "runpod", local: true }),
      await this.#addUpstream(both.caller, llm, { url: "", dialect: "openai" }),
      await this.#addUpstream(both.caller, llm, { url: "/", dialect: "openai" }),
    ];
    const [first] = upstreams;
    const changed = `/v1/endpoints/${endpoint}/upstreams/${first?.id}`;
    await this.call(both.caller, "PATCH", changed, { credential: this.#invent("credential") });
    const workerKey = await this.#makeWorkerKey(both.caller, `/v1/endpoints/${endpoint}/worker-keys`);
    await this.#makeWorkerKey(both.caller, `/v1/endpoints/${llm}/worker-keys`);
    await this.#makeWorkerKey(both.caller, `/v1/endpoints/${endpoint}/worker-env`);
    const provider = await this.#addProviders(both.caller);
    const token = await this.call(both.caller, "POST", `/v1/endpoints/${endpoint}/tokens`, { calls: 2 });
    const tokenText = String(JSON.parse(token.text).token);
    this.#keep("token", tokenText.split(".")[1], token);
    const things = {
      ...{ endpoints: endpoint, serverless: endpoint, v2: endpoint, templates: templateId, keys: both.id },
      ...{ upstreams: first?.id ?? "", workers: first?.id ?? "", "worker-keys": workerKey, tenants: tenant.body.id },
      providers: provider,
    };
    const visitor: Caller = { key: tokenText, scopes: [] };
    return { name, both: both.caller, callers, token: visitor, things, endpoints: [endpoint, llm], upstreams };
  }

  /** What a broker is set up with. */
  keepDeployment(text: string): void {
    this.#keep("deployment", text, null);
  }

  /** A secret that the broker refuses, so that it has no reason to show it to anybody. */
  invent(kind: SecretKind): string {
    return this.#invent(kind);
  }

  async #create(caller: Caller, path: string, body: object) {
    const headers = { "idempotency-key": randomBytes(8).toString("hex") };
    const answer = await this.call(caller, "POST", path, body, headers);
    if (answer.status !== 201 && answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
    // The repetition must be answered, and without the secret.
    const again = await this.call(caller, "POST", path, body, headers);
    if (again.status !== answer.status) throw new Error(`${path} again: ${again.status} ${again.text}`);
    return { answer, body: JSON.parse(answer.text) };
  }

  async #makeKey(operator: Caller, body: { readonly tenantId: string; readonly scopes: readonly string[] }) {
    const made = await this.#create(operator, "/v1/keys", body);
    this.#keep("key", secretPartOf(made.body.key), made.answer);
    const caller: Caller = { key: made.body.key, scopes: body.scopes };
    return { id: String(made.body.id), caller };
  }

  async #makeWorkerKey(caller: Caller, path: string): Promise<string> {
    const { answer, body } = await this.#create(caller, path, { tier: "a4000" });
    this.#keep("worker key", secretPartOf(body.key ?? body.variables.RUNPOD_AI_API_KEY), answer);
    return String(body.id ?? body.workerKey.id);
  }

  async #addUpstream(caller: Caller, endpoint: string, given: { url: string; dialect: string; local?: boolean }) {
    const upstream = { ...given, url: `${this.#serverUrl}${given.url}`, tier: "a4000", slots: 4, name: UPSTREAM_NAME };
    const path = `/v1/endpoints/${endpoint}/upstreams`;
    const { body } = await this.#create(caller, path, { ...upstream, credential: this.#invent("credential") });
    return { endpoint, id: String(body.id) };
  }

  /** One with an API key, which is changed, and one that is given a secret. The id of the first. */
  async #addProviders(caller: Caller): Promise<string> {
    const offers = [{ gpuTypeId: "NVIDIA L4", pricePerHour: "0.43" }];
    const credential = () => this.#invent("credential");
    const pods = { name: "pods", kind: "runpod", credential: credential(), offers, default: true };
    const { body } = await this.#create(caller, "/v1/providers", pods);
    await this.call(caller, "PATCH", `/v1/providers/${body.id}`, { credential: credential() });
    const hook = { name: "hook", kind: "webhook", url: `${this.#serverUrl}/hook`, offers };
    const made = await this.#create(caller, "/v1/providers", hook);
    this.#keep("webhook secret", made.body.secret, made.answer);
    return String(body.id);
  }

  #invent(kind: SecretKind): string {
    const text = randomBytes(24).toString("base64url");
    this.#keep(kind, text, null);
    return text;
  }

  #keep(kind: SecretKind, text: unknown, givenBy: Answer | null): void {
    if (typeof text !== "string" || text.length < 20) throw new Error(`there is no ${kind} in ${givenBy?.text}`);
    this.secrets.push({ kind, text, givenBy });
  }
}

/** No secret, and stored beside them: a search that does not find it would not find a secret either. */
export const UPSTREAM_NAME = "planted-upstream-name";

/** Of `wb_live_{id}_{secret}_{checksum}`. */
export function secretPartOf(key: unknown): string {
  return /^wb_live_[^_]+_(.+)_[^_]+$/.exec(String(key))?.[1] ?? "";
}
