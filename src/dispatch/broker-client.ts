// The client by which all code outside of a broker calls it. It lists for each method whether a call may be repeated
// after a lost answer, and it sends the caller's settings to a broker that has older ones.
import type { BrokerApi } from "../contract/broker.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import { SETTINGS_PUSH_MAX_MS } from "../core/endpoint/limits.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { log } from "../log.ts";
import { repeatCall } from "./repeat-call.ts";

type Repeat = "again" | "once";
/** For a method whose calls differ in this. */
type RepeatBy<Name extends keyof BrokerApi> = (...call: Parameters<BrokerApi[Name]>) => Repeat;

/**
 * May a call be repeated when its answer was lost? `once`: the first call may have done what a second would repeat or
 * misreport: hand out chunks or jobs, store a chunk that has no number, log a delivery, restart a job that has failed again, count the
 * purged jobs.
 */
const AFTER_A_LOST_ANSWER: { readonly [Name in keyof BrokerApi]: Repeat | RepeatBy<Name> } = {
  configure: "again",
  submit: "again",
  findRepeated: "again",
  read: "again",
  describe: "again",
  wait: "again",
  cancel: "again",
  retry: "once",
  purgeQueue: "once",
  health: "again",
  requests: "again",
  listJobs: "again",
  // What a first call has cancelled matches no more; what it has retried may have failed again.
  changeJobs: ({ action }) => (action === "cancel" ? "again" : "once"),
  depth: "again",
  readTiming: "again",
  start: "again",
  startWebhooks: "again",
  nudge: "again",
  finishWebhook: "again",
  listDeliveries: "again",
  noteDelivery: "once",
  renew: "again",
  handOver: "again",
  letGo: "again",
  noteUpstreamJob: "again",
  noteRunning: "again",
  finish: "again",
  workerKey: "again",
  takeJobs: "once",
  abandonTake: "again",
  ping: "again",
  report: "again",
  progress: "again",
  awaitStops: "once",
  listWorkers: "again",
  drainWorker: "again",
  listDecisions: "again",
  sweepFleet: "again",
  prewarm: "again",
  appendChunk: ({ number }) => (number === undefined ? "once" : "again"),
  appendPiece: "again",
  appendChunks: "again",
  ownChunks: "again",
  readStream: "again",
  drainStream: "once",
  enterLb: "again",
  renewLb: "again",
  leaveLb: "again",
};

/** A replaced object answers again within tens of milliseconds; the RunPod client waits three seconds for `/run`. */
const TRIES_MAX = 5;

type Reply<Name extends keyof BrokerApi> = Awaited<ReturnType<BrokerApi[Name]>>;
/** The broker's answer, or why there is none. A refusal by the broker has the same form as a broker out of reach. */
type Answer<Name extends keyof BrokerApi> = Reply<Name> extends Result<infer T> ? Result<T> : Result<Reply<Name>>;

/** Settings to send to a broker that has older ones, or a function that loads them; null: there are none to send. */
type SettingsSource = EndpointSettings | (() => Promise<EndpointSettings | null>);

/** The stub is good for one call: after an error take another, because it stays broken once its object was replaced. */
export function brokerOf(env: Env, endpointId: string): BrokerApi {
  // The RPC stub has every method of the class behind it, and EndpointBroker implements BrokerApi.
  return env.ENDPOINT_BROKER.getByName(endpointId) as unknown as BrokerApi;
}

export class BrokerClient {
  readonly endpointId: string;
  readonly #env: Env;
  readonly #settings: SettingsSource | null;
  readonly #madeAtMs = Date.now();

  constructor(env: Env, endpointId: string, settings: SettingsSource | null = null) {
    this.#env = env;
    this.endpointId = endpointId;
    this.#settings = settings;
  }

  /**
   * Makes one call. `unavailable`: the broker is overloaded or does not answer. `settings_behind` is returned only
   * where this client has no settings for the broker. Errors of the broker's own code are thrown.
   */
  async call<Name extends keyof BrokerApi>(name: Name, ...call: Parameters<BrokerApi[Name]>): Promise<Answer<Name>> {
    const first = await this.#ask(name, call);
    const source = this.#settings;
    if (!isBehind(first) || source === null) return first;
    // A broker that was emptied after the deletion of its endpoint must not be given settings from before it.
    const isOld = typeof source !== "function" && Date.now() - this.#madeAtMs > SETTINGS_PUSH_MAX_MS;
    if (isOld) return fail(TOO_LATE) as Answer<Name>;
    const settings = typeof source === "function" ? await source() : source;
    if (settings === null) return first;
    const configured = await this.#ask("configure", [settings]);
    if (!configured.ok) return configured as Answer<Name>;
    const second = await this.#ask(name, call);
    return isBehind(second) ? (fail(STILL_BEHIND) as Answer<Name>) : second;
  }

  async #ask<Name extends keyof BrokerApi>(name: Name, call: Parameters<BrokerApi[Name]>): Promise<Answer<Name>> {
    const { endpointId } = this;
    let trouble: Trouble | null = null;
    const isPassing = (error: unknown, tryNumber: number): boolean => {
      trouble = platformTrouble(error);
      if (trouble !== null) log("broker_call_failed", { endpointId, trouble, tryNumber });
      return trouble === "reset" || trouble === "retryable";
    };
    const triesMax = mayRepeat(name, call) ? TRIES_MAX : 1;
    try {
      const reply = await repeatCall(() => send(brokerOf(this.#env, endpointId), name, call), { triesMax, isPassing });
      return (isResult(reply) ? reply : ok(reply)) as Answer<Name>;
    } catch (error) {
      if (trouble === null) throw error;
      const message = trouble === "overloaded" ? "the endpoint is overloaded" : "the endpoint did not answer";
      return fail({ kind: "unavailable", message }) as Answer<Name>;
    }
  }
}

const TOO_LATE = { kind: "unavailable", message: "the request took too long to arrive: send it again" } as const;
const STILL_BEHIND = { kind: "unavailable", message: "the endpoint is changing its settings" } as const;

/** Calls a method by its name. The compiler cannot follow a name that may be that of any method, hence the casts. */
function send<Name extends keyof BrokerApi>(
  broker: BrokerApi,
  name: Name,
  call: Parameters<BrokerApi[Name]>,
): Promise<Reply<Name>> {
  // The method is called as a member, because `method.apply` on a stub would name another remote method.
  return (broker as unknown as Record<Name, (...call: unknown[]) => Promise<Reply<Name>>>)[name](...call);
}

function mayRepeat<Name extends keyof BrokerApi>(name: Name, call: Parameters<BrokerApi[Name]>): boolean {
  const repeat: Repeat | RepeatBy<Name> = AFTER_A_LOST_ANSWER[name];
  return (typeof repeat === "function" ? repeat(...call) : repeat) === "again";
}

function isResult(reply: unknown): reply is Result<unknown> {
  return typeof reply === "object" && reply !== null && "ok" in reply;
}

function isBehind(answer: Result<unknown>): boolean {
  return !answer.ok && answer.failure.kind === "settings_behind";
}

type Trouble = "overloaded" | "reset" | "retryable";

/** What the platform reports about a failed call; null when the error is not the platform's. */
function platformTrouble(error: unknown): Trouble | null {
  if (typeof error !== "object" || error === null) return null;
  if ("overloaded" in error && error.overloaded === true) return "overloaded";
  if ("durableObjectReset" in error && error.durableObjectReset === true) return "reset";
  if ("retryable" in error && error.retryable === true) return "retryable";
  return null;
}
