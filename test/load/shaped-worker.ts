// A worker of the dialect `http` that does what its job's input asks for, and a receiver of webhooks that does what its path
// asks for: what a tenant can make other servers do to the broker.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";

/** What the input of a job may ask of the worker; anything else is answered with `{}`. */
export const wishSchema = z.object({
  /** Comes back as the output. */
  echo: z.string().optional(),
  status: z.int().min(200).max(599).optional(),
  location: z.string().optional(),
  delayMs: z.int().min(0).max(5_000).optional(),
  /** The connection is reset unanswered. */
  dies: z.boolean().optional(),
  outputBytes: z.int().min(0).optional(),
});
export type Wish = z.infer<typeof wishSchema>;

const jobSchema = z.object({ input: z.unknown() });

export interface ShapedWorker {
  /** Where jobs are posted. */
  readonly url: string;
  /** `/200`, `/500`, `/302`, `/410`: answers so. `/hangs`: never answers. */
  readonly receiverUrl: string;
  stop(): Promise<void>;
}

export async function startShapedWorker(): Promise<ShapedWorker> {
  const server = createServer((request, response) => {
    serve(request, response).catch(() => response.destroy());
  });
  server.keepAliveTimeout = 75_000;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the worker got no port");
  const base = `http://127.0.0.1:${address.port}`;
  return {
    url: `${base}/work`,
    receiverUrl: `${base}/hook`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const hook = /^\/hook\/(\w+)/.exec(request.url ?? "")?.[1];
  if (hook === "hangs") return;
  if (hook !== undefined) return void response.writeHead(Number(hook)).end();
  const job = jobSchema.safeParse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
  const wish = wishSchema.safeParse(job.data?.input);
  await grant(wish.data ?? {}, response);
}

async function grant(wish: Wish, response: ServerResponse): Promise<void> {
  if (wish.delayMs !== undefined) await sleep(wish.delayMs);
  if (wish.dies === true) return void response.destroy();
  if (wish.location !== undefined) response.setHeader("location", wish.location);
  const output = wish.outputBytes === undefined ? { echo: wish.echo } : "o".repeat(wish.outputBytes);
  response.writeHead(wish.status ?? 200, { "content-type": "application/json" }).end(JSON.stringify(output));
}
