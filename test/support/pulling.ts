// A tenant whose jobs are pulled, with its client and its workers as they speak over HTTP.
import { exports } from "cloudflare:workers";
import { expect } from "vitest";
import * as z from "zod";
import { makeTenant, type TestTenant, type TestTenantOptions } from "./tenant.ts";

const idSchema = z.object({ id: z.string() });
const statusSchema = z.object({
  id: z.string(),
  status: z.string(),
  output: z.unknown().optional(),
  error: z.string().optional(),
  retries: z.number().optional(),
  workerId: z.string().optional(),
});

export type JobStatus = z.infer<typeof statusSchema>;

/** What a call as a worker may change of the usual one. */
export interface WorkerWords {
  readonly workerId?: string;
  readonly body?: string | ReadableStream;
  /** Null: no key at all. */
  readonly key?: string | null;
  readonly endpoint?: string;
  /** The SDK's release. */
  readonly version?: string;
}

export interface Pulling {
  readonly tenant: TestTenant;
  /** One call of worker `w1`, or of another one, as runpod 1.12 makes it. `WORKER` in the path stands for its id. */
  asWorker(path: string, words?: WorkerWords): Promise<Response>;
  asClient(path: string, body?: string, words?: Readonly<Record<string, string>>): Promise<Response>;
  submit(input: string): Promise<string>;
  status(id: string): Promise<JobStatus>;
  /** The poll of a worker that runs nothing. */
  take(workerId?: string): Promise<Response>;
  /** The same, whose job is handed out: its id. */
  takeOne(workerId?: string): Promise<string>;
  done(id: string, body: string, workerId?: string): Promise<Response>;
  ping(ids?: readonly string[], workerId?: string): Promise<Response>;
}

/** Makes a tenant with one endpoint and one key of workers. */
export async function makePulling(options: TestTenantOptions = {}): Promise<Pulling> {
  const tenant = await makeTenant({ workerKeys: [{ slots: 1 }], ...options });
  const [workerKey] = tenant.workerKeys;
  if (workerKey === undefined) throw new Error("the tenant has no worker key");

  const asWorker = (path: string, words: WorkerWords = {}): Promise<Response> => {
    const { workerId = "w1", body, key = workerKey, endpoint = tenant.endpointId, version = "1.12.0" } = words;
    // The SDK calls every body a form, and sends JSON.
    const type = body === undefined ? "application/json" : "application/x-www-form-urlencoded";
    const headers = {
      "content-type": type,
      "user-agent": `RunPod-Python-SDK/${version} (Linux; x86_64) Language/Python 3.11.2`,
      ...(key === null ? {} : { authorization: key }),
    };
    const url = `https://waybill.test/v2/${endpoint}/${path.replace("WORKER", workerId)}`;
    const init = body === undefined ? { headers } : { method: "POST", headers, body };
    return exports.default.fetch(new Request(url, init));
  };
  const asClient: Pulling["asClient"] = (path, body, words = {}) => {
    const headers = { authorization: `Bearer ${tenant.key}`, "content-type": "application/json", ...words };
    const init = body === undefined ? { headers } : { method: "POST", headers, body };
    return exports.default.fetch(new Request(`https://waybill.test/v2/${tenant.endpointId}/${path}`, init));
  };
  const take = (workerId = "w1") => asWorker("job-take/WORKER?gpu=SIM&job_in_progress=0", { workerId });
  const idOf = async (answer: Response): Promise<string> => {
    expect(answer.status).toBe(200);
    return idSchema.parse(await answer.json()).id;
  };
  return {
    tenant,
    asWorker,
    asClient,
    submit: async (input) => idOf(await asClient("run", `{"input":${input}}`)),
    status: async (id) => statusSchema.parse(await (await asClient(`status/${id}`)).json()),
    take,
    takeOne: async (workerId) => idOf(await take(workerId)),
    done: (id, body, workerId = "w1") => asWorker(`job-done/WORKER/${id}?gpu=SIM&isStream=false`, { body, workerId }),
    ping: (ids = [], workerId = "w1") => {
      const named = ids.length === 0 ? "" : `&job_id=${encodeURIComponent(ids.join(","))}`;
      return asWorker(`ping/WORKER?gpu=SIM${named}&runpod_version=1.12.0`, { workerId });
    },
  };
}

/** The same with worker `w1` there: without any worker an OpenAI request is refused at once. */
export async function makeReadyPulling(options: TestTenantOptions = {}): Promise<Pulling> {
  const pulling = await makePulling(options);
  await pulling.ping();
  return pulling;
}
