// An upstream and a webhook receiver that repeats the credential it was sent wherever it can: in outputs, chunks and errors.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

export interface EchoingServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Requests that came with a credential. */
  credentialsSeen(): number;
  stop(): Promise<void>;
}

/** Over what is kept in a row of the broker, so that an output of this size goes to R2. */
const LARGE_CHARS = 3_000_000;

/**
 * `input.mode` of a job chooses the answer: `ok`, `large`, `stream`, `refuse` (400) or `fail` (500). `/gone` refuses a webhook for good. What is
 * below `/v1/` answers as an OpenAI server does, and each other path by RunPod's body if it ends in `/runsync`.
 */
export async function startEchoingServer(): Promise<EchoingServer> {
  let seen = 0;
  const server = createServer((request, response) => {
    if (request.headers.authorization !== undefined) seen += 1;
    void answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server got no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    credentialsSeen: () => seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const path = request.url ?? "/";
  const said = `I was sent ${request.headers.authorization ?? "nothing"}`;
  const json = (status: number, body: unknown): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
  if (path === "/gone") return json(410, { error: said });
  const body = chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString());
  const mode = body.input?.mode ?? body.model ?? "ok";
  if (mode === "refuse") return json(400, { error: { message: said } });
  if (mode === "fail") return json(500, { error: said });
  if (mode === "stream" && !path.endsWith("/runsync")) {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`data: ${JSON.stringify({ said })}\n\ndata: ${JSON.stringify(said)}\n\n`);
    return;
  }
  const output = mode === "large" ? `${said} ${"x".repeat(LARGE_CHARS)} ${said}` : said;
  if (path.endsWith("/runsync")) return json(200, { id: body.id, status: "COMPLETED", output });
  if (path.startsWith("/v1/")) {
    const message = { role: "assistant", content: output };
    return json(200, { id: "c", object: "chat.completion", choices: [{ index: 0, message, finish_reason: "stop" }] });
  }
  json(200, { said: output });
}
