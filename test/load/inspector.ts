// A session with V8's inspector in workerd: one for each isolate that runs our code.
import * as z from "zod";

const targetsSchema = z.array(z.object({ title: z.string().optional(), webSocketDebuggerUrl: z.url() }));
const replySchema = z.object({ id: z.number(), result: z.record(z.string(), z.unknown()).optional() });

export interface InspectorSession {
  /** Resolves with the result of the command, unchecked. */
  call(method: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>;
  close(): void;
}

/** Node's own WebSocket takes headers too, which the browser's type does not know. wrangler's inspector wants an origin. */
const NodeWebSocket = WebSocket as unknown as new (
  url: string,
  init: { readonly headers: Readonly<Record<string, string>> },
) => WebSocket;

/** A session with each isolate, or with those whose address ends so. Throws when there is none. */
export async function openInspector(port: number, ending = ""): Promise<InspectorSession[]> {
  const response = await fetch(`http://127.0.0.1:${port}/json`);
  const urls = targetsSchema.parse(await response.json()).map(({ webSocketDebuggerUrl }) => webSocketDebuggerUrl);
  const chosen = urls.filter((url) => url.endsWith(ending));
  if (chosen.length === 0) throw new Error("the inspector knows no such isolate");
  return Promise.all(chosen.map(openSession));
}

async function openSession(url: string): Promise<InspectorSession> {
  const socket = new NodeWebSocket(url, { headers: { origin: "http://localhost" } });
  const waiting = new Map<number, (result: unknown) => void>();
  let calls = 0;
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = () => reject(new Error(`the inspector at ${url} refused`));
  });
  socket.onmessage = ({ data }) => {
    const reply = replySchema.safeParse(JSON.parse(String(data)));
    if (!reply.success) return;
    waiting.get(reply.data.id)?.(reply.data.result);
    waiting.delete(reply.data.id);
  };
  return {
    call: (method, params = {}) =>
      new Promise((resolve) => {
        calls += 1;
        waiting.set(calls, resolve);
        socket.send(JSON.stringify({ id: calls, method, params }));
      }),
    close: () => socket.close(),
  };
}
