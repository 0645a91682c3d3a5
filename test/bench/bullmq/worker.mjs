// The worker process of that queue: calls the bench's upstream for each job. More of them at once than there are callers, so that no
// job waits for a worker.
import { Worker } from "bullmq";

const connection = { host: "127.0.0.1", port: Number(process.argv[2]) };
const upstreamUrl = process.argv[3];

async function work({ id, data }) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(upstreamUrl, { method: "POST", headers, body: JSON.stringify({ id, input: data }) });
  if (!answer.ok) throw new Error(`the upstream answered ${answer.status}`);
  return await answer.json();
}

const worker = new Worker("bench", work, { connection, concurrency: 128 });
await worker.waitUntilReady();
process.send({ port: 0 });
// The bench has ended, by whatever means.
process.once("disconnect", () => process.exit(0));
