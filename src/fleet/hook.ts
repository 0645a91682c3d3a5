// The providers `webhook` and `local`: whatever is asked for, the hook gets all that is wanted, and answers all that exists. So it needs
// no memory, calls may reach it in any order, and one that is lost or comes twice changes nothing.
import type { CalledMachine, ProviderCall } from "../contract/fleet.ts";
import {
  HOOK_VERSION,
  type HookAnswer,
  type HookMachine,
  type HookRequest,
  hookAnswerSchema,
  hookErrorSchema,
} from "../contract/fleet-hook.ts";
import {
  instanceName,
  type Listed,
  namePrefix,
  type ProviderAnswer,
  type ProviderOperation,
  type Refusal,
} from "../core/fleet/provider.ts";
import { toTimeText } from "../core/manage/time-text.ts";
import { asSent } from "../outbound/send-body.ts";
import { signWebhook } from "../outbound/webhook.ts";
import type { CallDeps, Driver, MachinePlan } from "./driver.ts";
import { toNanodollars } from "./price.ts";
import { callVendor, type VendorAnswer } from "./vendor-call.ts";
import { answeredWords, quoted } from "./words.ts";

const VENDOR = "The hook";

export interface HookPlace {
  readonly url: string;
  /** `whsec_` and base64. */
  readonly secret: string;
  readonly endpointId: string;
  readonly desired: ProviderCall["desired"];
  /** Null: no machine can be made. */
  readonly plan: MachinePlan | null;
}

export class HookDriver implements Driver {
  readonly #place: HookPlace;
  readonly #deps: CallDeps;

  constructor(place: HookPlace, deps: CallDeps) {
    this.#place = place;
    this.#deps = deps;
  }

  create(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#change("create", machine);
  }

  start(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#change("start", machine);
  }

  stop(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#change("stop", machine);
  }

  end(machine: CalledMachine): Promise<ProviderAnswer> {
    return this.#change("end", machine);
  }

  async list(): Promise<ProviderAnswer> {
    const answer = await this.#tell("list", null);
    if (answer.kind === "overtaken") return { kind: "unclear", detail: answer.detail };
    return answer.kind === "told" ? { kind: "listed", instances: answer.machines } : answer;
  }

  async #change(operation: Exclude<ProviderOperation, "list">, { instanceId }: CalledMachine): Promise<ProviderAnswer> {
    const name = instanceName(this.#place.endpointId, instanceId);
    const answer = await this.#tell(operation, name);
    // Calls overtake each other. Each has the whole state, so that a newer one has done what this one was for.
    if (answer.kind === "overtaken") return { kind: "done", instance: null };
    if (answer.kind !== "told") return answer;
    const refused = answer.refused.find((one) => one.name === name);
    if (refused !== undefined) return refusalOf(refused.reason, refused, `The hook refuses: ${refused.reason}.`);
    const machine = answer.machines.find((one) => one.name === name);
    if (operation === "end" && machine?.status === "ended") return { kind: "gone" };
    if (machine !== undefined) return { kind: "done", instance: machine };
    // It took the state, of which the machine is a part: what stands behind a hook may show a new machine a while later.
    return operation === "create" ? { kind: "done", instance: null } : { kind: "gone" };
  }

  async #tell(operation: ProviderOperation, machine: string | null): Promise<Told | Overtaken | Refusal> {
    const body = JSON.stringify(await this.#request(operation, machine));
    const { endpointId, desired, secret, url } = this.#place;
    let signed: Record<string, string>;
    try {
      signed = signWebhook([secret], `fleet_${endpointId}_${desired.number}`, new Date(this.#deps.now()), asSent(body));
    } catch {
      return { kind: "denied", detail: "The provider's credential cannot sign: it must be whsec_ and base64." };
    }
    const call = { vendor: VENDOR, url, method: "POST", headers: signed, body, isRead: operation === "list" } as const;
    const answer = await callVendor(call, this.#deps);
    if (answer.kind !== "answered") return answer;
    return answer.status < 300 ? this.#read(answer) : refusedBy(answer, desired.number);
  }

  async #request(operation: ProviderOperation, machine: string | null): Promise<HookRequest> {
    const { endpointId, desired, plan } = this.#place;
    const machines = desired.machines.map(async (wanted): Promise<HookMachine> => {
      const { instanceId, ref, gpuTypeId, tier, state, endsAtMs } = wanted;
      return {
        name: instanceName(endpointId, instanceId),
        instanceId,
        id: ref,
        gpuTypeId,
        tier,
        state,
        endsAt: toTimeText(endsAtMs),
        env: plan === null ? {} : await plan.variablesOf(wanted),
      };
    });
    return {
      type: "fleet.desired",
      version: HOOK_VERSION,
      endpointId,
      number: desired.number,
      operation,
      machine,
      worker: plan?.worker ?? null,
      machines: await Promise.all(machines),
    };
  }

  #read({ body, status }: VendorAnswer): Told | Refusal {
    const parsed = hookAnswerSchema.safeParse(body);
    if (!parsed.success) {
      const [issue] = parsed.error.issues;
      const place = issue === undefined || issue.path.length === 0 ? "" : ` at ${issue.path.join(".")}`;
      const said = body === undefined ? "it is no JSON" : `${issue?.message ?? "it is wrong"}${place}`;
      return {
        kind: "unclear",
        detail: `The hook answered ${status} with a body that cannot be used: ${quoted(said)}.`,
      };
    }
    const { machines, refused = [] } = parsed.data;
    const prefix = namePrefix(this.#place.endpointId);
    return { kind: "told", machines: machines.filter(({ name }) => name.startsWith(prefix)).map(toListed), refused };
  }
}

interface Told {
  readonly kind: "told";
  readonly machines: readonly Listed[];
  readonly refused: NonNullable<HookAnswer["refused"]>;
}

function toListed({ name, id, status, pricePerHour, url, detail }: HookAnswer["machines"][number]): Listed {
  return {
    name,
    ref: id,
    status,
    priceNanodollarsPerHour: pricePerHour == null ? null : toNanodollars(pricePerHour),
    url: url ?? null,
    detail: detail == null || detail === "" ? null : quoted(detail),
  };
}

/** The hook has taken a newer state already. */
interface Overtaken {
  readonly kind: "overtaken";
  readonly detail: string;
}

/** A status that is no success. The reason in the body goes before what the status means. */
function refusedBy({ status, body, retryAfterMs }: VendorAnswer, number: number): Overtaken | Refusal {
  const said = hookErrorSchema.safeParse(body).data ?? {};
  const words = answeredWords(VENDOR, status, said.detail ?? "");
  if (said.reason !== undefined) return refusalOf(said.reason, { ...said, detail: words }, words, retryAfterMs);
  if (status === 409) {
    const newest = said.number === undefined ? "a newer state" : `the state ${said.number}`;
    const detail = `The hook has taken ${newest} already, so it did not take ${number}.`;
    return { kind: said.number !== undefined && said.number > number ? "overtaken" : "unclear", detail };
  }
  return refusalOf(kindOf(status), { retryAfterSeconds: said.retryAfterSeconds, detail: words }, words, retryAfterMs);
}

/** What a status means. */
function kindOf(status: number): Refusal["kind"] {
  if (status === 401 || status === 403) return "denied";
  if (status === 402) return "unpaid";
  if (status === 429) return "wait";
  // There is another server at the address, or none.
  if (status === 404 || status === 405 || status === 410) return "unreachable";
  return status >= 500 || status === 408 ? "unclear" : "bad_config";
}

function refusalOf(
  kind: Refusal["kind"],
  said: { readonly detail?: string | undefined; readonly retryAfterSeconds?: number | undefined },
  words: string,
  retryAfterMs: number | null = null,
): Refusal {
  const detail = said.detail === undefined || said.detail === "" ? words : quoted(said.detail);
  if (kind !== "wait") return { kind, detail };
  const asked = said.retryAfterSeconds;
  return { kind, retryAfterMs: asked === undefined ? retryAfterMs : Math.ceil(asked * 1_000), detail };
}
