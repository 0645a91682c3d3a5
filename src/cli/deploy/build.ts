// npm run deploy inside Cloudflare's own builds, such as the one of the deploy button, which has made what has a
// binding and asked for the secrets. What is printed there is kept in a log, so neither a secret nor a key is made.
import { messageOf } from "../../core/failure.ts";
import { EXPIRY_DAYS, EXPIRY_RULE, type Names } from "./plan.ts";
import type { Print } from "./secrets.ts";
import { addExpiry, applyMigrations, createQueue, deployPlainly, findConsumers, findExpiry } from "./wrangler.ts";

export async function deployInBuild({ queues, bucket }: Names, print: Print): Promise<void> {
  // Queues without a producer have no binding. The token of a build may lack the right to make them, or to ask.
  for (const queue of queues) {
    await attempt(`create the queue ${queue}`, print, async () => {
      if ((await findConsumers(queue)) === null) await createQueue(queue);
    });
  }
  await attempt(`let the bucket ${bucket} delete objects after ${EXPIRY_DAYS} days`, print, async () => {
    if ((await findExpiry(bucket)) === false) await addExpiry(bucket, EXPIRY_RULE, EXPIRY_DAYS);
  });
  await applyMigrations();
  print("done: apply the migrations that were missing");
  for (const line of (await deployPlainly()).trim().split("\n")) print(line);
  print("To make the first key, run npm run deploy on a machine of yours: docs/deploy.md");
}

/** What cannot be done is told, and left to wrangler deploy, which fails if it needs it. */
async function attempt(what: string, print: Print, act: () => Promise<void>): Promise<void> {
  try {
    await act();
    print(`done: ${what}`);
  } catch (error) {
    print(`could not ${what}: ${messageOf(error)}`);
  }
}
