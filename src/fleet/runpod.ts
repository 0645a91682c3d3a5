// RunPod's pods as machines, by REST v2. A create has no idempotency key, so one whose answer is lost is `unclear`, and is looked for by
// its name before another one is made.
import type { CalledMachine } from "../contract/fleet.ts";
import { SecretForms } from "../core/access/secret-forms.ts";
import { instanceName, type Listed, type ProviderAnswer, type Refusal } from "../core/fleet/provider.ts";
import { isHeaderValue } from "../core/openai/target.ts";
import type { CallDeps, Driver, MachinePlan } from "./driver.ts";
import { podRequest, readPod, readPods } from "./runpod-pod.ts";
import { refusedBy } from "./runpod-refusal.ts";
import { callVendor, type VendorAnswer } from "./vendor-call.ts";

const RUNPOD_URL = "https://api.runpod.io";
const VENDOR = "RunPod";
/** RunPod's lists have one page as far as is known. */
const PAGES_MAX = 20;

export interface RunpodPlace {
  /** Null: RunPod's own host. */
  readonly url: string | null;
  readonly apiKey: string;
  readonly endpointId: string;
  /** The port of load-balanced workers that are made now; null: its workers fetch jobs. */
  readonly httpPort: number | null;
}

export class RunpodDriver implements Driver {
  readonly #place: RunpodPlace;
  readonly #base: string;
  readonly #deps: CallDeps;

  constructor(place: RunpodPlace, deps: CallDeps) {
    this.#place = place;
    this.#base = `${(place.url ?? RUNPOD_URL).replace(/\/+$/, "")}/v2/pods`;
    this.#deps = deps;
  }

  async create(machine: CalledMachine, plan: MachinePlan): Promise<ProviderAnswer> {
    const { endpointId, httpPort } = this.#place;
    const answer = await this.#call("POST", "", await podRequest(endpointId, machine, plan, httpPort));
    if (answer.kind !== "answered") return answer;
    if (answer.status >= 300) return refusedBy("create", answer);
    const instance = readPod(answer.body, httpPort);
    if (instance !== null) return { kind: "done", instance };
    return { kind: "unclear", detail: `RunPod answered ${answer.status} to a create, with no pod in the body.` };
  }

  start(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#act("start", machine);
  }

  stop(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#act("stop", machine);
  }

  async end(machine: CalledMachine): Promise<ProviderAnswer> {
    const found = await this.#idOf(machine);
    if (found.kind !== "pod") return found;
    const answer = await this.#call("DELETE", `/${found.id}`);
    if (answer.kind !== "answered") return answer;
    if (answer.status < 300) return { kind: "done", instance: null };
    return answer.status === 404 ? { kind: "gone" } : refusedBy("end", answer);
  }

  async list(): Promise<ProviderAnswer> {
    const { endpointId, httpPort } = this.#place;
    const instances: Listed[] = [];
    let cursor = "";
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const answer = await this.#call("GET", cursor === "" ? "" : `?cursor=${encodeURIComponent(cursor)}`);
      if (answer.kind !== "answered") return answer;
      if (answer.status >= 300) return refusedBy("list", answer);
      const read = readPods(answer.body, endpointId, httpPort);
      if (read === null) return { kind: "unclear", detail: "RunPod answered with a list of pods that cannot be read." };
      instances.push(...read.machines);
      if (read.next === null) return { kind: "listed", instances };
      cursor = read.next;
    }
    return { kind: "unclear", detail: `RunPod's list of pods has over ${PAGES_MAX} pages.` };
  }

  async #act(action: "start" | "stop", machine: CalledMachine): Promise<ProviderAnswer> {
    const found = await this.#idOf(machine);
    if (found.kind !== "pod") return found;
    const answer = await this.#call("POST", `/${found.id}/action`, { action });
    if (answer.kind !== "answered") return answer;
    if (answer.status < 300) return { kind: "done", instance: readPod(answer.body, this.#place.httpPort) };
    if (answer.status === 404) return { kind: "gone" };
    return answer.status === 409 ? await this.#judgeState(action, found.id, answer) : refusedBy(action, answer);
  }

  /** The pod's state does not allow the action: it may be what was wanted already. */
  async #judgeState(action: "start" | "stop", id: string, refused: VendorAnswer): Promise<ProviderAnswer> {
    const answer = await this.#call("GET", `/${id}`);
    if (answer.kind === "answered" && answer.status === 404) return { kind: "gone" };
    const instance = answer.kind === "answered" ? readPod(answer.body, this.#place.httpPort) : null;
    if (instance === null) return { kind: "unclear", detail: refusedBy(action, refused).detail };
    const { status } = instance;
    if (status === "ended") return { kind: "gone" };
    const isUp = status === "running" || status === "creating";
    if (action === "start" ? isUp : status === "stopped") return { kind: "done", instance };
    // What begins at this moment can be stopped in a while.
    if (status === "creating") return { kind: "unclear", detail: refusedBy(action, refused).detail };
    return refusedBy(action, refused);
  }

  /** Without its id a pod is looked for by its name. */
  async #idOf({
    ref,
    instanceId,
  }: CalledMachine): Promise<{ readonly kind: "pod"; readonly id: string } | ProviderAnswer> {
    if (ref !== null) return { kind: "pod", id: encodeURIComponent(ref) };
    const listed = await this.list();
    if (listed.kind !== "listed") return listed;
    const name = instanceName(this.#place.endpointId, instanceId);
    const pod = listed.instances.find((one) => one.name === name);
    return pod === undefined ? { kind: "gone" } : { kind: "pod", id: encodeURIComponent(pod.ref) };
  }

  async #call(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<VendorAnswer | Refusal> {
    const { apiKey } = this.#place;
    if (!isHeaderValue(apiKey))
      return { kind: "denied", detail: "The provider's API key has characters that no header may hold." };
    return await callVendor(
      {
        vendor: VENDOR,
        url: `${this.#base}${path}`,
        method,
        headers: { authorization: `Bearer ${apiKey}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        isRead: method === "GET",
        secrets: new SecretForms([apiKey]),
      },
      this.#deps,
    );
  }
}
