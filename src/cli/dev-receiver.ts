// A webhook receiver for development: checks each signature with the `standardwebhooks` library and keeps each webhook.

import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";
import { messageOf } from "../core/failure.ts";
import { textOf } from "../core/json/value.ts";

/** One webhook that arrived. `refused` is null when its signature is good, else the library's reason. */
export interface ReceivedWebhook {
  readonly jobId: string;
  readonly status: string;
  readonly refused: string | null;
}

export interface WebhookReceiver {
  readonly url: string;
  /** The first webhook of a job, or undefined while none has come. */
  find(jobId: string): ReceivedWebhook | undefined;
  stop(): Promise<void>;
}

/** Listens on a free port of this machine. `secret` is the tenant's `whsec_…`. */
export async function startReceiver(secret: string): Promise<WebhookReceiver> {
  const verifier = new Webhook(secret);
  const received: ReceivedWebhook[] = [];
  const server = createServer((request, response) => {
    receive(request, verifier).then(
      (webhook) => {
        received.push(webhook);
        response.writeHead(webhook.refused === null ? 204 : 401).end();
      },
      () => response.writeHead(400).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("The webhook receiver got no port.");
  return {
    url: `http://127.0.0.1:${address.port}/finished`,
    find: (jobId) => received.find((webhook) => webhook.jobId === jobId),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function receive(request: IncomingMessage, verifier: Webhook): Promise<ReceivedWebhook> {
  const body = await text(request);
  const parsed: unknown = JSON.parse(body);
  return { jobId: textOf(parsed, "id"), status: textOf(parsed, "status"), refused: refusal(verifier, body, request) };
}

function refusal(verifier: Webhook, body: string, request: IncomingMessage): string | null {
  const header = (name: string) => String(request.headers[name] ?? "");
  try {
    verifier.verify(body, {
      "webhook-id": header("webhook-id"),
      "webhook-timestamp": header("webhook-timestamp"),
      "webhook-signature": header("webhook-signature"),
    });
    return null;
  } catch (error) {
    return messageOf(error);
  }
}
