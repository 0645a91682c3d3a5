// RunPod's pods over HTTP, for a broker in a process of its own: what is made is what FakePods says, and each pod that runs can be a real
// process with exactly the environment that the pod was given.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { type FakePod, FakePods } from "./fake-pods.ts";

/** A program to run as a pod's container. `file`: with its path, because a pod's environment has no PATH of this machine. */
export interface PodProgram {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

export interface FakeRunpodOptions {
  readonly apiKey: string;
  /** USD an hour, by the id of the GPU type. */
  readonly prices: Readonly<Record<string, number>>;
  /** Null: the pod is there, and nothing runs in it. */
  readonly program?: (pod: FakePod) => PodProgram | null;
}

export interface FakeRunpod {
  /** In place of https://api.runpod.io. */
  readonly url: string;
  readonly pods: FakePods;
  /** What the process of a pod has printed, of each of its starts. */
  printed(podId: string): string;
  /** Ends the processes of all pods, and the server. */
  stop(): Promise<void>;
}

export async function startFakeRunpod({ apiKey, prices, program }: FakeRunpodOptions): Promise<FakeRunpod> {
  const running = new Map<string, ChildProcess>();
  const printed = new Map<string, string>();
  const ends: Promise<unknown>[] = [];

  const start = (pod: FakePod): void => {
    const chosen = program?.(pod) ?? null;
    if (chosen === null) return;
    const { file, args, cwd } = chosen;
    const child = spawn(file, [...args], { cwd, env: { ...pod.env }, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => printed.set(pod.id, (printed.get(pod.id) ?? "") + data.toString()));
    }
    running.set(pod.id, child);
    const ended = () => {
      // A process that was ended with its pod, or that another one has followed, tells nothing of it.
      if (running.get(pod.id) !== child) return;
      running.delete(pod.id);
      pods.exit(pod.id);
    };
    child.once("error", ended);
    ends.push(once(child, "close").then(ended, ended));
  };
  const stop = (pod: FakePod): void => {
    const child = running.get(pod.id);
    running.delete(pod.id);
    child?.kill("SIGKILL");
  };

  const pods = new FakePods({ apiKey, prices, onStart: start, onStop: stop });
  const server = createServer(async (request, response) => {
    const { status, headers, body } = pods.handle(await read(request));
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body === null ? undefined : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the fake of RunPod got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    pods,
    printed: (podId) => printed.get(podId) ?? "",
    stop: async () => {
      for (const child of running.values()) child.kill("SIGKILL");
      running.clear();
      await Promise.all(ends);
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
