// V8's heap of the Worker, by its inspector: what is in use after a forced collection. All isolates that run our code count.
import { z } from "zod";

const targetsSchema = z.array(z.object({ title: z.string().optional(), webSocketDebuggerUrl: z.url() }));
const replySchema = z.object({ id: z.number(), result: z.record(z.string(), z.unknown()).optional() });
const usageSchema = z.object({ usedSize: z.number(), backingStorageSize: z.number().optional() });

export interface HeapUsage {
  readonly usedBytes: number;
  /** Array buffers stand outside the heap proper; they count as well. */
  readonly backingBytes: number;
}

/** Forces a collection and reads what is left. */
export async function collectedHeap(inspectorPort: number): Promise<HeapUsage> {
  const response = await fetch(`http://127.0.0.1:${inspectorPort}/json`);
  const targets = targetsSchema.parse(await response.json());
  let usedBytes = 0;
  let backingBytes = 0;
  for (const { webSocketDebuggerUrl } of targets) {
    const session = await openSession(webSocketDebuggerUrl);
    await session.call("HeapProfiler.collectGarbage");
    await session.call("HeapProfiler.collectGarbage");
    const usage = usageSchema.parse(await session.call("Runtime.getHeapUsage"));
    usedBytes += usage.usedSize;
    backingBytes += usage.backingStorageSize ?? 0;
    session.close();
  }
  if (targets.length === 0) throw new Error("the inspector knows no isolate");
  return { usedBytes, backingBytes };
}

interface Session {
  call(method: string): Promise<unknown>;
  close(): void;
}

/** Node's own WebSocket takes headers too, which the browser's type does not know. wrangler's inspector wants an origin. */
const NodeWebSocket = WebSocket as unknown as new (
  url: string,
  init: { readonly headers: Readonly<Record<string, string>> },
) => WebSocket;

async function openSession(url: string): Promise<Session> {
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
    call: (method) =>
      new Promise((resolve) => {
        calls += 1;
        waiting.set(calls, resolve);
        socket.send(JSON.stringify({ id: calls, method }));
      }),
    close: () => socket.close(),
  };
}
