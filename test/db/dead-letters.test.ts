// Webhooks that were given up: kept once, shown to their tenant alone, dropped after their time.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { DEAD_LETTER_MS } from "../../src/core/limits.ts";
import { type DeadLetter, keepDeadLetter, listDeadLetters } from "../../src/db/dead-letters.ts";

function letter(webhookId: string, givenUpAtMs: number): DeadLetter {
  const place = { endpointId: "ep", jobId: `${webhookId}-u1`, url: "https://receiver.test/hook" };
  return { webhookId, ...place, tries: 10, detail: "answered 500", givenUpAtMs };
}

it("keeps a letter once, and shows the newest first", async () => {
  await keepDeadLetter(env.DB, "letters-once", letter("msg_a", 1_000));
  await keepDeadLetter(env.DB, "letters-once", letter("msg_b", 2_000));
  await keepDeadLetter(env.DB, "letters-once", { ...letter("msg_a", 3_000), tries: 1 });
  expect(await listDeadLetters(env.DB, "letters-once")).toEqual([letter("msg_b", 2_000), letter("msg_a", 1_000)]);
});

it("shows a tenant no letter of another, also under the same webhook id", async () => {
  await keepDeadLetter(env.DB, "letters-mine", letter("msg_same", 1_000));
  await keepDeadLetter(env.DB, "letters-theirs", { ...letter("msg_same", 2_000), detail: "theirs" });
  expect(await listDeadLetters(env.DB, "letters-mine")).toEqual([letter("msg_same", 1_000)]);
});

it("drops the tenant's letters past their time when the next one comes", async () => {
  await keepDeadLetter(env.DB, "letters-old", letter("msg_old", 1_000));
  await keepDeadLetter(env.DB, "letters-old", letter("msg_edge", 1_001));
  await keepDeadLetter(env.DB, "letters-old", letter("msg_new", 1_001 + DEAD_LETTER_MS));
  const ids = (await listDeadLetters(env.DB, "letters-old")).map(({ webhookId }) => webhookId);
  expect(ids).toEqual(["msg_new", "msg_edge"]);
});
