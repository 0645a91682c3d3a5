// Stands between workers and the broker and counts from there what was asked and answered: a worker that is killed cannot tell.
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from "node:http";

/** One request of a worker, once it has arrived whole. */
export interface GateCall {
  /** The third segment of the path: `job-take`, `job-done`, `ping`. */
  readonly route: string;
  readonly workerId: string;
  readonly jobId: string | null;
  readonly atMs: number;
  /** The broker's answer, also where nobody was there any more to hear it. */
  readonly status: number | null;
  readonly body: string;
}

export interface Gate {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** In the order of their arrival; an answer is filled in when it comes. */
  readonly calls: readonly GateCall[];
  stop(): Promise<void>;
}

/** Passes every request on to `target`, and its end too: who hangs up here is seen to hang up there. */
export async function startGate(target: string): Promise<Gate> {
  const agent = new Agent({ keepAlive: true });
  const calls: GateCall[] = [];
  const server = createServer((incoming, outgoing) => {
    const at = calls.push(readNames(incoming)) - 1;
    const heard = (status: number, body: string) => {
      const call = calls[at];
      if (call !== undefined) calls[at] = { ...call, status, body };
    };
    passOn(`${target}${incoming.url}`, agent, incoming, outgoing, heard);
  });
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the gate got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    calls,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        agent.destroy();
      }),
  };
}

function readNames(incoming: IncomingMessage): GateCall {
  const [, , , route = "", workerId = "", jobId] = new URL(incoming.url ?? "/", "http://gate").pathname.split("/");
  return { route, workerId, jobId: jobId ?? null, atMs: Date.now(), status: null, body: "" };
}

function passOn(
  url: string,
  agent: Agent,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  heard: (status: number, body: string) => void,
): void {
  const { method, headers } = incoming;
  const asked = request(url, { method, headers, agent }, (response) => {
    const chunks: Buffer[] = [];
    response.on("data", (chunk: Buffer) => chunks.push(chunk));
    response.once("end", () => {
      const body = Buffer.concat(chunks);
      heard(response.statusCode ?? 0, body.toString("utf8"));
      outgoing.writeHead(response.statusCode ?? 502, response.headers).end(body);
    });
    response.once("error", () => outgoing.destroy());
  });
  asked.once("error", () => outgoing.destroy());
  incoming.once("error", () => asked.destroy());
  outgoing.once("close", () => {
    // A body that came whole has done its work, whoever hears of it; a held poll ends with its client.
    if (!outgoing.writableFinished && (method === "GET" || !incoming.complete)) asked.destroy();
  });
  incoming.pipe(asked);
}
