// Queue consumers. A message is a wake-up: it is handled in milliseconds and never waits for a call to an upstream. One
// that fails is retried and may get lost, because the broker's own alarm does the same work later. queue() never
// throws: in local development that would bring back messages that were acknowledged before.

import { type WakeMessage, wakeMessageSchema } from "../contract/messages.ts";
import { brokerOf } from "../dispatch/broker-client.ts";
import { log } from "../log.ts";

/** Handles one batch of any of our queues; the queue's name decides what each message starts. */
export async function consume(batch: MessageBatch, env: Env): Promise<void> {
  await Promise.all(batch.messages.map((message) => consumeOne(batch.queue, message, env)));
}

async function consumeOne(queue: string, message: Message, env: Env): Promise<void> {
  const parsed = wakeMessageSchema.safeParse(message.body);
  if (!parsed.success) {
    log("bad_message", { queue, message: message.id });
    message.ack();
    return;
  }
  try {
    await wake(queue, parsed.data, env);
    message.ack();
  } catch (error) {
    log("wake_failed", { queue, endpoint: parsed.data.endpointId, error: String(error) });
    message.retry({ delaySeconds: 1 });
  }
}

async function wake(queue: string, message: WakeMessage, env: Env): Promise<void> {
  const broker = brokerOf(env, message.endpointId);
  if (queue.endsWith("-dead")) log("dead_wake_up", { queue, endpoint: message.endpointId });
  if (queue.startsWith("webhooks")) await broker.startWebhooks();
  else await broker.start();
}
