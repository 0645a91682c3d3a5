// Webhooks that were given up: kept once, shown to their tenant alone, dropped after their time.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { DEAD_LETTER_MS, DEAD_LETTERS_TENANT_MAX } from "../../src/core/limits.ts";
import {
  type DeadLetter,
  findDeadLetter,
  keepDeadLetter,
  type ListedDeadLetter,
  listDeadLetters,
  nextRedeliverable,
  noteRedelivered,
  noteRefused,
} from "../../src/db/dead-letters.ts";
import { metered } from "../support/d1.ts";

function letter(webhookId: string, givenUpAtMs: number): DeadLetter {
  const place = { endpointId: "ep", jobId: `${webhookId}-u1`, url: "https://receiver.test/hook" };
  return { webhookId, ...place, tries: 10, detail: "answered 500", givenUpAtMs };
}

/** As it is listed when its body is not kept. */
function listed(one: DeadLetter): ListedDeadLetter {
  return { ...one, redeliverable: false };
}

function keep(tenantId: string, one: DeadLetter, bodyStoredAtMs: number | null = null) {
  return keepDeadLetter(env.DB, tenantId, one, bodyStoredAtMs);
}

async function list(tenantId: string, nowMs = 0): Promise<readonly ListedDeadLetter[]> {
  const page = { before: null, limit: 1_000, nowMs };
  return (await listDeadLetters(env.DB, tenantId, page)).letters;
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
  await keep("letters-once", letter("msg_a", 1_000));
  await keep("letters-once", letter("msg_b", 2_000));
  await keep("letters-once", { ...letter("msg_a", 3_000), tries: 1 });
  expect(await list("letters-once")).toEqual([listed(letter("msg_b", 2_000)), listed(letter("msg_a", 1_000))]);
});

it("shows a tenant no letter of another, also under the same webhook id", async () => {
  await keep("letters-mine", letter("msg_same", 1_000));
  await keep("letters-theirs", { ...letter("msg_same", 2_000), detail: "theirs" });
  expect(await list("letters-mine")).toEqual([listed(letter("msg_same", 1_000))]);
});

it("drops the tenant's letters past their time when the next one comes", async () => {
  await keep("letters-old", letter("msg_old", 1_000));
  await keep("letters-old", letter("msg_edge", 1_001));
  await keep("letters-old", letter("msg_new", 1_001 + DEAD_LETTER_MS));
  const ids = (await list("letters-old")).map(({ webhookId }) => webhookId);
  expect(ids).toEqual(["msg_new", "msg_edge"]);
});

it("reads and writes a few rows for a letter, however many there are", async () => {
  await fill("letters-many", DEAD_LETTERS_TENANT_MAX);
  const next = letter("msg_next", DEAD_LETTERS_TENANT_MAX + 1);
  const { read, written } = await metered(() => keep("letters-many", next));
  console.info(`one letter beside ${DEAD_LETTERS_TENANT_MAX}: ${read} rows read, ${written} written`);
  expect(read).toBeGreaterThan(0);
  expect(read).toBeLessThanOrEqual(12);
  expect(written).toBeLessThanOrEqual(8);
});

it("keeps the newest of too many, and comes down to the bound where an earlier release has left more", async () => {
  await fill("letters-more", DEAD_LETTERS_TENANT_MAX + 5);
  for (let at = 1; at <= 8; at += 1) {
    await keep("letters-more", letter(`msg_late_${at}`, DEAD_LETTERS_TENANT_MAX + 5 + at));
  }
  expect(await countOf("letters-more")).toBe(DEAD_LETTERS_TENANT_MAX);
  const [newest] = await list("letters-more");
  expect(newest?.webhookId).toBe("msg_late_8");
});

it("reads of a list as many rows as it shows, and one that shows whether there are more", async () => {
  await fill("letters-list", 3_000);
  expect(await metered(() => list("letters-list"))).toMatchObject({
    read: 1_001,
    written: 0,
  });
  expect(await list("letters-list")).toHaveLength(1_000);
});

it("keeps half a pair of UTF-16 in a text as one replacement character, as a bound value has it", async () => {
  const odd = { url: "https://receiver.test/\ud83d", detail: "broke off: \ud83d after" };
  await keep("letters-odd", { ...letter("msg_odd", 1_000), ...odd });
  const [kept] = await list("letters-odd");
  expect(kept).toMatchObject({ url: "https://receiver.test/\ufffd", detail: "broke off: \ufffd after" });
});

it("is read page by page, newest first, and a letter that comes meanwhile moves no page", async () => {
  await fill("letters-pages", 5);
  const page = (before: number | null) => listDeadLetters(env.DB, "letters-pages", { before, limit: 2, nowMs: 0 });
  const first = await page(null);
  await keep("letters-pages", letter("msg_late", 9));
  const second = await page(first.next);
  const third = await page(second.next);
  const ids = [first, second, third].map(({ letters }) => letters.map(({ webhookId }) => webhookId));
  expect(ids).toEqual([["msg_5", "msg_4"], ["msg_3", "msg_2"], ["msg_1"]]);
  expect(third.next).toBeNull();
});

it("can be sent again from the time at which its body is kept, for as long as R2 keeps it", async () => {
  const isRedeliverable = async (nowMs: number) => (await list("letters-body", nowMs))[0]?.redeliverable;
  await keep("letters-body", letter("msg_1", 1_000));
  expect(await isRedeliverable(1_000)).toBe(false);
  // The body follows with a later offer, which changes nothing else.
  const again = await keep("letters-body", { ...letter("msg_1", 5_000), detail: "another" }, 5_000);
  expect(again).toEqual({ givenUpAtMs: 1_000, isDelivered: false, dropped: [] });
  expect(await list("letters-body", 5_000)).toEqual([{ ...letter("msg_1", 1_000), redeliverable: true }]);
  expect(await isRedeliverable(5_000 + DEAD_LETTER_MS - 1)).toBe(true);
  expect(await isRedeliverable(5_000 + DEAD_LETTER_MS)).toBe(false);
});

it("names the letters that are dropped, so that their bodies can go", async () => {
  await keep("letters-dropped", letter("msg_old", 1_000), 1_000);
  const kept = await keep("letters-dropped", letter("msg_new", 1_001 + DEAD_LETTER_MS));
  expect(kept.dropped).toEqual(["msg_old"]);
});

it("is in no list once it was delivered, and an offer that comes again finds that", async () => {
  await keep("letters-done", letter("msg_1", 1_000), 1_000);
  await keep("letters-done", letter("msg_2", 1_000), 1_000);
  await noteRefused(env.DB, "letters-done", "msg_2", "answered 404");
  await noteRedelivered(env.DB, "letters-done", "msg_1", 2_000);
  const left = { ...letter("msg_2", 1_000), tries: 11, detail: "answered 404", redeliverable: true };
  expect(await list("letters-done", 2_000)).toEqual([left]);
  expect(await findDeadLetter(env.DB, "letters-done", "msg_1", 2_000)).toBeNull();
  expect(await keep("letters-done", letter("msg_1", 3_000), 3_000)).toMatchObject({ isDelivered: true });
  expect(await list("letters-done", 3_000)).toEqual([left]);
});

it("reads of those that can be sent again the oldest beyond a number, and counts the others", async () => {
  for (const at of [1, 2, 3, 4, 5]) await keep("letters-next", letter(`msg_${at}`, at), at === 2 ? null : at);
  await keep("letters-next-other", letter("msg_1", 1), 1);
  const next = (after: number) => nextRedeliverable(env.DB, "letters-next", { after, limit: 2, nowMs: 5 });
  const first = await next(0);
  expect(first).toMatchObject({ letters: [{ webhookId: "msg_1" }, { webhookId: "msg_3" }], inAll: 4 });
  expect(await next(first.letters.at(-1)?.number ?? 0)).toMatchObject({
    letters: [{ webhookId: "msg_4" }, { webhookId: "msg_5" }],
    inAll: 2,
  });
});
