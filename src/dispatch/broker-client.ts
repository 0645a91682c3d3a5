// The broker of an endpoint as everybody outside of it calls it: which calls may be made again after a lost answer stands here for
// each of them, and a broker that is behind is sent the settings that the caller has.
import type { BrokerApi } from "../contract/broker.ts";
import type { EndpointSettings } from "../contract/settings.ts";
import { fail, ok, type Result } from "../core/failure.ts";
import { log } from "../log.ts";
import { repeatCall } from "./repeat-call.ts";

/**
 * May a call be made again whose answer was lost? `once` where the first one may have done something that a second would do anew,
 * or would take for done: hand out chunks or jobs, store a chunk, start a job that has failed again, count what was purged.
 */
const AFTER_A_LOST_ANSWER: Readonly<Record<keyof BrokerApi, "again" | "once">> = {
  configure: "again",
  submit: "again",
  read: "again",
  describe: "again",
  wait: "again",
  cancel: "again",
  retry: "once",
  purgeQueue: "once",
  health: "again",
  requests: "again",
  depth: "again",
  start: "again",
  startWebhooks: "again",
  nudge: "again",
  finishWebhook: "again",
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
  appendChunk: "once",
  appendChunks: "again",
  ownChunks: "again",
  readStream: "again",
  drainStream: "once",
  enterLb: "again",
  renewLb: "again",
  leaveLb: "again",
};

/** A replaced object answers again within tens of milliseconds; the RunPod client gives `/run` three seconds. */
const TRIES_MAX = 5;

type Reply<Name extends keyof BrokerApi> = Awaited<ReturnType<BrokerApi[Name]>>;
/** What the broker answers, or why there is no answer; a refusal of the broker and a broker out of reach are told alike. */
type Answer<Name extends keyof BrokerApi> = Reply<Name> extends Result<infer T> ? Result<T> : Result<Reply<Name>>;

/** Settings for a broker that is behind: those at hand, or where to find them; null: there are none for it. */
type SettingsSource = EndpointSettings | (() => Promise<EndpointSettings | null>);

/** The stub is good for one call: after an error take another, because it stays broken once its object was replaced. */
export function brokerOf(env: Env, endpointId: string): BrokerApi {
  // The RPC stub answers every method of the class behind it, and EndpointBroker implements BrokerApi.
  return env.ENDPOINT_BROKER.getByName(endpointId) as unknown as BrokerApi;
}

export class BrokerClient {
  readonly endpointId: string;
  readonly #env: Env;
  readonly #settings: SettingsSource | null;

  constructor(env: Env, endpointId: string, settings: SettingsSource | null = null) {
    this.#env = env;
    this.endpointId = endpointId;
    this.#settings = settings;
  }

  /**
   * Makes one call. `unavailable`: the broker is overloaded or does not answer. `settings_behind` only where this client has no
   * settings for it. Errors of the broker's own code throw.
   */
  async call<Name extends keyof BrokerApi>(name: Name, ...call: Parameters<BrokerApi[Name]>): Promise<Answer<Name>> {
    const first = await this.#ask(name, call);
    if (!isBehind(first) || this.#settings === null) return first;
    const settings = typeof this.#settings === "function" ? await this.#settings() : this.#settings;
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
    const triesMax = AFTER_A_LOST_ANSWER[name] === "again" ? TRIES_MAX : 1;
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

const STILL_BEHIND = { kind: "unavailable", message: "the endpoint is changing its settings" } as const;

/** A method by its name, which the compiler cannot follow for all of them at once. */
function send<Name extends keyof BrokerApi>(
  broker: BrokerApi,
  name: Name,
  call: Parameters<BrokerApi[Name]>,
): Promise<Reply<Name>> {
  // Called as a member: on a stub `method.apply` would be the name of another method.
  return (broker as unknown as Record<Name, (...call: unknown[]) => Promise<Reply<Name>>>)[name](...call);
}

function isResult(reply: unknown): reply is Result<unknown> {
  return typeof reply === "object" && reply !== null && "ok" in reply;
}

function isBehind(answer: Result<unknown>): boolean {
  return !answer.ok && answer.failure.kind === "settings_behind";
}

type Trouble = "overloaded" | "reset" | "retryable";

/** What the platform says of a failed call; null when the error is not the platform's. */
function platformTrouble(error: unknown): Trouble | null {
  if (typeof error !== "object" || error === null) return null;
  if ("overloaded" in error && error.overloaded === true) return "overloaded";
  if ("durableObjectReset" in error && error.durableObjectReset === true) return "reset";
  if ("retryable" in error && error.retryable === true) return "retryable";
  return null;
}
