// A database with rows of each exported table, some of them longer than D1 takes in one statement.
import type { DatabaseSync } from "node:sqlite";

/** Quotes, lines, statements' ends, and characters of one to four bytes. */
const TEXT = `it's "so";\n--'' ? ?1 BEGIN TRANSACTION; COMMIT; \\ äß 漢字 😀👩‍💻\r\n`;
export const longText = (bytes: number): string => TEXT.repeat(Math.ceil(bytes / Buffer.byteLength(TEXT)));

/** Something of each table, so much of the bill that it takes two calls, and values that are too long for a statement. */
export function fillTables(db: DatabaseSync, lines = 600): void {
  const insert = (table: string, row: Record<string, string | number | null>) =>
    db
      .prepare(
        `INSERT INTO ${table} (${Object.keys(row).join()}) VALUES (${Object.keys(row)
          .map(() => "?")
          .join()})`,
      )
      .run(...Object.values(row));
  insert("tenants", { id: "t", name: "O'Brien", waiting_max: 5, sealed_webhook_secret: "s", created_at: 1 });
  const settings = JSON.stringify({ public: true, readme: longText(150_000) });
  insert("templates", { id: "tpl", tenant_id: "t", name: "n", settings, sealed_env: longText(120_000), created_at: 1 });
  const offers = JSON.stringify([{ gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 430_000_000 }]);
  const provider = { tenant_id: "t", kind: "runpod", sealed_credential: "s", offers, created_at: 1 };
  insert("providers", { id: "p", name: "O'Brien's", is_default: 1, ...provider });
  insert("providers", { id: "gone", name: "g", deleted_at: 1, ...provider });
  for (const [number, id] of ["a", "b"].entries()) {
    const sealed = {
      sealed_env: id === "a" ? longText(200_000) : null,
      input_schema: id === "a" ? longText(90_000) : null,
    };
    insert("endpoints", { id, number: number + 1, tenant_id: "t", slug: id, ...sealed, created_at: 1 });
    insert("releases", { endpoint_id: id, number: 1, id: `r${id}`, created_at: 1, diff: "[]" });
    const price = { tier: "l4", rate_kind: "flex", slots: 1, created_at: 1 };
    insert("upstreams", { id: `u${id}`, endpoint_id: id, url: "https://w", dialect: "http", ...price });
    const key = { tenant_id: "t", digest: "d".repeat(64), scopes: "worker", name: "w", endpoint_id: id };
    insert("api_keys", { id: `k${id}`, ...key, ...price });
  }
  const client = { tenant_id: "t", digest: "e".repeat(64), scopes: "jobs,admin", name: "c", created_at: 1 };
  insert("api_keys", { id: "client", ...client });
  db.exec("UPDATE endpoints SET version = 40 WHERE id = 'a'");
  db.exec("INSERT INTO gpu_rates VALUES ('l4', 'flex', 1000, 7)");
  const line = { tenant_id: "t", seq: 1, endpoint_id: "a", tier: "l4", rate_kind: "flex", slots: 1 };
  const money = { nanodollars_per_second: 7, seconds: 1, amount_nanodollars: 7, started_at: 1, finished_at: 2 };
  for (let at = 0; at < lines; at += 1)
    insert("usage_lines", { ...line, source: `job-${at}`, job_id: `job-${at}`, ...money });
  const letter = { tenant_id: "t", number: 3, webhook_id: "w", endpoint_id: "a", job_id: "j", url: "https://r" };
  insert("webhook_dead_letters", { ...letter, tries: 1, detail: "down", given_up_at: 1 });
  for (let at = 0; at < 2; at += 1)
    insert("audit_lines", { tenant_id: "t", at: 1, action: "x", object_id: "a", changes: "[]" });
}
