// Counts the jobs that each token for browsers has submitted to this endpoint. The row is written in the transaction that stores the job,
// so that a token never submits more than it may, and stays until the token has ended: from then on the token is refused by its time.
import type { SubmittingToken } from "../../contract/browser-token.ts";
import { TOKENS_SWEEP_AFTER_MS, TOKENS_TENANT_MAX } from "../../core/access/limits.ts";
import type { Failure } from "../../core/failure.ts";
import { KEYS_RETRY_AFTER_SECONDS, TURN_ROWS_MAX } from "../../core/limits.ts";
import type { Timed } from "../alarm.ts";
import type { MeteredSql } from "./metered-sql.ts";

type Ended = { expires_at: number; token_id: string; tenant_id: string };

export class TokenCalls implements Timed {
  readonly #sql: MeteredSql;
  /** Tokens with a row, by tenant; null: not counted since the start, as no token has come. */
  #tokens: Map<string, number> | null = null;
  /** The end of the first token that has a row, epoch ms; Infinity: none has. */
  #firstEndMs: number;
  /** True: more rows of ended tokens are left than one turn could bear. */
  #isSweeping = false;

  constructor(sql: MeteredSql) {
    this.#sql = sql;
    this.#firstEndMs = this.#readFirstEnd();
  }

  /** Why the token may not submit one more job; null: it may. */
  refuse(tenantId: string, token: SubmittingToken, nowMs: number): Failure | null {
    // The row may be gone already: the body of the submit came slowly.
    if (token.expiresAtMs <= nowMs) return { kind: "unauthorized", misused: "token_over" };
    const made = this.#callsOf(token);
    if (made >= token.calls) return { kind: "token_refused", why: "calls" };
    if (made > 0 || this.#count(tenantId) < TOKENS_TENANT_MAX) return null;
    return { kind: "too_many_tokens", tokensMax: TOKENS_TENANT_MAX, retryAfterSeconds: KEYS_RETRY_AFTER_SECONDS };
  }

  /** Counts one job more, inside the transaction that stores it. The caller runs the returned function once that has returned. */
  note(tenantId: string, token: SubmittingToken): () => void {
    const [row] = this.#sql.all<{ calls: number }>(
      `INSERT INTO token_calls (expires_at, token_id, tenant_id, calls) VALUES (?, ?, ?, 1)
       ON CONFLICT (expires_at, token_id) DO UPDATE SET calls = calls + 1 RETURNING calls`,
      token.expiresAtMs,
      token.id,
      tenantId,
    );
    const isNew = row?.calls === 1;
    return () => {
      if (!isNew) return;
      this.#change(tenantId, 1);
      this.#firstEndMs = Math.min(this.#firstEndMs, token.expiresAtMs);
    };
  }

  nextAtMs(): number {
    return this.#isSweeping ? 0 : this.#firstEndMs + TOKENS_SWEEP_AFTER_MS;
  }

  /** Drops the rows of some tokens that have ended. */
  run(nowMs: number): boolean {
    if (this.nextAtMs() > nowMs) return false;
    const ended = this.#sql.all<Ended>(
      `SELECT expires_at, token_id, tenant_id FROM token_calls WHERE expires_at <= ?
       ORDER BY expires_at, token_id LIMIT ${TURN_ROWS_MAX}`,
      nowMs,
    );
    const last = ended.at(-1);
    if (last !== undefined) {
      this.#sql.run("DELETE FROM token_calls WHERE (expires_at, token_id) <= (?, ?)", last.expires_at, last.token_id);
    }
    for (const { tenant_id: tenantId } of ended) this.#change(tenantId, -1);
    this.#firstEndMs = this.#readFirstEnd();
    this.#isSweeping = this.#firstEndMs <= nowMs;
    return this.#isSweeping;
  }

  /** Where nothing is counted yet, the count will have it. */
  #change(tenantId: string, by: 1 | -1): void {
    const tokens = (this.#tokens?.get(tenantId) ?? 0) + by;
    if (tokens > 0) this.#tokens?.set(tenantId, tokens);
    else this.#tokens?.delete(tenantId);
  }

  #callsOf({ expiresAtMs, id }: SubmittingToken): number {
    const sql = "SELECT calls FROM token_calls WHERE expires_at = ? AND token_id = ?";
    return this.#sql.all<{ calls: number }>(sql, expiresAtMs, id)[0]?.calls ?? 0;
  }

  #readFirstEnd(): number {
    const sql = "SELECT expires_at FROM token_calls ORDER BY expires_at, token_id LIMIT 1";
    return this.#sql.all<{ expires_at: number }>(sql)[0]?.expires_at ?? Number.POSITIVE_INFINITY;
  }

  #count(tenantId: string): number {
    this.#tokens ??= this.#readCounts();
    return this.#tokens.get(tenantId) ?? 0;
  }

  #readCounts(): Map<string, number> {
    const sql = "SELECT tenant_id, count(*) AS tokens FROM token_calls GROUP BY tenant_id";
    const rows = this.#sql.all<{ tenant_id: string; tokens: number }>(sql);
    return new Map(rows.map(({ tenant_id, tokens }) => [tenant_id, tokens]));
  }
}
