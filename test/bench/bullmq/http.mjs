// What the part `load` compares with: the HTTP process of a job queue on Redis. A call adds a job and waits for its end. Copied beside
// the packages that it imports (../bullmq.ts), because they are none of the project's.
import { serve } from "@hono/node-server";
import { Queue, QueueEvents } from "bullmq";
import { Hono } from "hono";

const WAIT_MAX_MS = 60_000;
const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const queue = new Queue("bench", { connection });
const events = new QueueEvents("bench", { connection });
// Each call that waits listens to both.
for (const each of [queue, events]) each.setMaxListeners(0);
const app = new Hono();

app.post("/runsync", async (c) => {
  const { input } = await c.req.json();
  const job = await queue.add("job", input);
  const output = await job.waitUntilFinished(events, WAIT_MAX_MS);
  return c.json({ id: job.id, output, status: "COMPLETED" });
});

await events.waitUntilReady();
serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => process.send({ port }));
// The bench has ended, by whatever means.
process.once("disconnect", () => process.exit(0));
