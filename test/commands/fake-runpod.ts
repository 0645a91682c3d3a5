// The routes of RunPod that a worker calls, in the shapes of docs/wire.md 3: it hands out jobs, and keeps what was
// called.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";

export interface WorkerCall {
  readonly method: string;
  /** Without the parameters. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface FakeRunpod {
  /** The environment that it sets for the worker of this id. */
  environment(workerId: string): Record<string, string>;
  /** Hands out a job to whoever asks next. */
  offer(id: string, input: unknown): void;
  /** The first call that is one of these, as soon as it was made. */
  called(isMeant: (call: WorkerCall) => boolean): Promise<WorkerCall>;
  stop(): Promise<void>;
}

export async function startFakeRunpod(): Promise<FakeRunpod> {
  const calls: WorkerCall[] = [];
  const offered: object[] = [];
  /** Polls are held, as RunPod holds them. */
  const polls = new Set<ServerResponse>();
  let waiting: { readonly isMeant: (call: WorkerCall) => boolean; readonly tell: (call: WorkerCall) => void }[] = [];

  const handOut = () => {
    for (const poll of polls) {
      const job = offered.shift();
      if (job === undefined) return;
      polls.delete(poll);
      answer(poll, job);
    }
  };
  const server = createServer(async (request, response) => {
    const call = await readCall(request);
    calls.push(call);
    const met = waiting.filter(({ isMeant }) => isMeant(call));
    waiting = waiting.filter(({ isMeant }) => !isMeant(call));
    for (const { tell } of met) tell(call);
    if (!/\/job-(take|stop)\//.test(call.path)) return answer(response, {});
    if (call.path.includes("/job-take/")) polls.add(response);
    response.once("close", () => polls.delete(response));
    handOut();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the routes got no port");
  const base = `http://127.0.0.1:${address.port}/v2/abc123`;
  return {
    environment: (workerId) => ({
      RUNPOD_POD_ID: workerId,
      RUNPOD_ENDPOINT_ID: "abc123",
      RUNPOD_AI_API_KEY: "a-worker's-key",
      RUNPOD_PING_INTERVAL: "1000",
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/$RUNPOD_POD_ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/$RUNPOD_POD_ID/$ID?gpu=NVIDIA+L4`,
      RUNPOD_WEBHOOK_POST_STREAM: `${base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=NVIDIA+L4`,
    }),
    offer: (id, input) => {
      offered.push({ id, input });
      handOut();
    },
    called: (isMeant) => {
      const call = calls.find(isMeant);
      if (call !== undefined) return Promise.resolve(call);
      return new Promise((tell) => waiting.push({ isMeant, tell }));
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function readCall(request: IncomingMessage): Promise<WorkerCall> {
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://runpod");
  return {
    method: request.method ?? "",
    path: pathname,
    parameters: Object.fromEntries(searchParams),
    headers: request.headers,
    body: await text(request),
  };
}

function answer(response: ServerResponse, value: object): void {
  response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
}
