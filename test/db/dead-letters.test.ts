// Webhooks that were given up: kept once, shown to their tenant alone, dropped after their time.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { DEAD_LETTER_MS, DEAD_LETTERS_LISTED_MAX, DEAD_LETTERS_TENANT_MAX } from "../../src/core/limits.ts";
import { type DeadLetter, keepDeadLetter, listDeadLetters } from "../../src/db/dead-letters.ts";
import { metered } from "../support/d1.ts";

function letter(webhookId: string, givenUpAtMs: number): DeadLetter {
  const place = { endpointId: "ep", jobId: `${webhookId}-u1`, url: "https://receiver.test/hook" };
  return { webhookId, ...place, tries: 10, detail: "answered 500", givenUpAtMs };
}

/** Puts so many letters of a tenant into D1, as if they had come one by one. */
async function fill(tenantId: string, letters: number): Promise<void> {
  await env.DB.prepare(
    `WITH RECURSIVE n (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM n WHERE number < ?2)
     INSERT INTO webhook_dead_letters (tenant_id, number, webhook_id, endpoint_id, job_id, url, tries, detail, given_up_at)
     SELECT ?1, number, 'msg_' || number, 'ep', 'j', 'https://receiver.test/hook', 10, 'answered 500', number FROM n`,
  )
    .bind(tenantId, letters)
    .run();
}

async function countOf(tenantId: string): Promise<number> {
  const row = await env.DB.prepare("SELECT count(*) AS letters FROM webhook_dead_letters WHERE tenant_id = ?")
    .bind(tenantId)
    .first<{ letters: number }>();
  return row?.letters ?? 0;
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

it("reads and writes a few rows for a letter, however many there are", async () => {
  await fill("letters-many", DEAD_LETTERS_TENANT_MAX);
  const next = letter("msg_next", DEAD_LETTERS_TENANT_MAX + 1);
  const { read, written } = await metered(() => keepDeadLetter(env.DB, "letters-many", next));
  console.info(`one letter beside ${DEAD_LETTERS_TENANT_MAX}: ${read} rows read, ${written} written`);
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThanOrEqual(12);
  expect(written).toBeLessThanOrEqual(8);
});

it("keeps the newest of too many, and comes down to the bound where an earlier release has left more", async () => {
  await fill("letters-more", DEAD_LETTERS_TENANT_MAX + 5);
  for (let at = 1; at <= 8; at += 1) {
    await keepDeadLetter(env.DB, "letters-more", letter(`msg_late_${at}`, DEAD_LETTERS_TENANT_MAX + 5 + at));
  }
  expect(await countOf("letters-more")).toBe(DEAD_LETTERS_TENANT_MAX);
  const [newest] = await listDeadLetters(env.DB, "letters-more");
  expect(newest?.webhookId).toBe("msg_late_8");
});

it("reads of a list as many rows as it shows", async () => {
  await fill("letters-list", 3_000);
  expect(await metered(() => listDeadLetters(env.DB, "letters-list"))).toMatchObject({
    read: DEAD_LETTERS_LISTED_MAX,
    written: 0,
  });
  expect(await listDeadLetters(env.DB, "letters-list")).toHaveLength(DEAD_LETTERS_LISTED_MAX);
});

it("keeps half a pair of UTF-16 in a text as one replacement character, as a bound value has it", async () => {
  const odd = { url: "https://receiver.test/\ud83d", detail: "broke off: \ud83d after" };
  await keepDeadLetter(env.DB, "letters-odd", { ...letter("msg_odd", 1_000), ...odd });
  const [kept] = await listDeadLetters(env.DB, "letters-odd");
  expect(kept).toMatchObject({ url: "https://receiver.test/\ufffd", detail: "broke off: \ufffd after" });
});
