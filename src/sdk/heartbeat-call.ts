// One heartbeat: that the worker is alive, and which jobs it runs. By node:http, because a thread that loads fetch takes 20 MB more.
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";

export interface HeartbeatSettings {
  readonly pingUrl: string;
  readonly key: string;
  readonly release: string;
  readonly intervalMs: number;
}

/** What a worker runs at the moment. */
export interface RunningJobs {
  readonly ids: readonly string[];
  /** Those of them whose handlers have not ended. The others are being reported, which is a sign of life as well. */
  readonly working: readonly string[];
}

/** What the heartbeat's thread is to do: name these jobs from now on, or tell that the worker leaves. */
export type ThreadCall = { readonly kind: "jobs"; readonly jobs: RunningJobs } | { readonly kind: "leave" };

/** What the thread tells of a heartbeat: why it failed (null: it was answered), or what `sendLeaving` gave. */
export type ThreadReply =
  | { readonly kind: "beat"; readonly failure: string | null }
  | { readonly kind: "left"; readonly mayBeAnswered: boolean };

/** `status` 0: there was no answer, and `text` gives the reason. */
interface PingAnswer {
  readonly status: number;
  readonly text: string;
}

/** Ids in one call: an address of 16 KB is the longest that Cloudflare takes, and each id takes 42 bytes of it. */
const NAMED_MAX = 300;

type Request = (url: URL, options: RequestOptions, onAnswer: (answer: IncomingMessage) => void) => ClientRequest;

export class HeartbeatCall {
  readonly #settings: HeartbeatSettings;
  readonly #loading: Promise<{ readonly request: Request }>;

  constructor(settings: HeartbeatSettings) {
    this.#settings = settings;
    // One of them alone: the other one would take 3 MB for nothing.
    this.#loading = settings.pingUrl.startsWith("https:") ? import("node:https") : import("node:http");
  }

  /** Resolves with the reason why it failed; null: it was answered. */
  async send(jobIds: readonly string[]): Promise<string | null> {
    const failed = (await this.#send(jobIds, false)).find(({ status }) => status === 0 || status >= 300);
    return failed === undefined ? null : failed.text;
  }

  /**
   * Also tells that the worker wants no more jobs. Resolves with whether the open poll may be answered because of that: Waybill then
   * answers 202. Where there is no answer, or a server's failure, it may have been told all the same. RunPod does not know the parameter.
   */
  async sendLeaving(jobIds: readonly string[]): Promise<boolean> {
    return (await this.#send(jobIds, true)).some(({ status }) => status === 0 || status === 202 || status >= 500);
  }

  #send(jobIds: readonly string[], isLeaving: boolean): Promise<PingAnswer[]> {
    const calls = Math.max(1, Math.ceil(jobIds.length / NAMED_MAX));
    const parts = Array.from({ length: calls }, (_, at) => jobIds.slice(at * NAMED_MAX, (at + 1) * NAMED_MAX));
    return Promise.all(parts.map((part) => this.#name(part, isLeaving)));
  }

  async #name(jobIds: readonly string[], isLeaving: boolean): Promise<PingAnswer> {
    const { pingUrl, key, release, intervalMs } = this.#settings;
    const { request } = await this.#loading;
    const url = new URL(pingUrl);
    if (jobIds.length > 0) url.searchParams.set("job_id", jobIds.join(","));
    if (isLeaving) url.searchParams.set("leaving", "1");
    const headers = { authorization: key, "user-agent": `Waybill-Worker/${release}` };
    return new Promise((resolve) => {
      const call = request(url, { headers, timeout: 2 * intervalMs }, (answer) => {
        answer.resume();
        const { statusCode: status = 0 } = answer;
        resolve({ status, text: `${status}` });
      });
      call.on("timeout", () => call.destroy(new Error("no answer in time")));
      call.on("error", (error) => resolve({ status: 0, text: error.message }));
      call.end();
    });
  }
}
