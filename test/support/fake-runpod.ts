// RunPod's pods over HTTP, for a broker in a process of its own: what is made is what FakePods says, and each pod that runs can be a real
// process with exactly the environment that the pod was given.
import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { FakePods } from "./fake-pods.ts";
import { type ContainerOptions, PodContainers } from "./pod-containers.ts";

export interface FakeRunpodOptions extends ContainerOptions {
  readonly apiKey: string;
  /** USD an hour, by the id of the GPU type. */
  readonly prices: Readonly<Record<string, number>>;
}

/** What can be made to wait: the call that creates a pod, before the pod is made, or the start of a pod's container. */
type Waiting = "create" | "start";

export interface FakeRunpod {
  /** In place of https://api.runpod.io. */
  readonly url: string;
  readonly pods: FakePods;
  /** What the process of a pod has printed, of each of its starts. */
  printed(podId: string): string;
  /** From now on these wait, until what it returns is called. */
  hold(what: Waiting): () => void;
  /** `kill -9` of all that runs in a pod. */
  kill(podId: string): void;
  /** The pods in which a process runs, also of pods that there are no more. */
  running(): readonly string[];
  /** Ends the processes of all pods, and the server. */
  stop(): Promise<void>;
}

export async function startFakeRunpod(options: FakeRunpodOptions): Promise<FakeRunpod> {
  const containers = new PodContainers(options);
  const held = new Map<Waiting, Promise<void>>();
  const pods: FakePods = new FakePods({
    apiKey: options.apiKey,
    prices: options.prices,
    onStart: async (pod) => {
      await held.get("start");
      if (pods.pods.get(pod.id)?.status === "RUNNING") containers.start(pod, () => pods.exit(pod.id));
    },
    onStop: ({ id }) => containers.end(id),
  });
  const server = createServer(async (request, response) => {
    const call = await read(request);
    if (call.method === "POST" && call.path === "/v2/pods") await held.get("create");
    const { status, headers, body } = pods.handle(call);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body === null ? undefined : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the fake of RunPod got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    pods,
    printed: (podId) => containers.printed(podId),
    hold: (what) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      held.set(what, promise);
      return () => {
        held.delete(what);
        resolve();
      };
    },
    kill: (podId) => containers.kill(podId),
    running: () => containers.running(),
    stop: async () => {
      await containers.endAll();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

async function read(request: IncomingMessage) {
  const headers = new Headers();
  for (const [name, value] of Object.entries(request.headers)) headers.set(name, String(value));
  return { method: request.method ?? "", path: request.url ?? "/", headers, body: await text(request) };
}
