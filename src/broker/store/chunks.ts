// The SQL of chunk logs: one log an attempt, one row for what arrived together, and how far each job's stream is
// drained. The ends of the logs that grow now are in memory, so that an append need not read the log. Of a chunk that
// comes in pieces each is a row whose count is 0, but for the last: they are shown once a row with a count follows.
import { type Frame, packChunks, unpackChunks, type ValuePart } from "../../core/job/chunk-frames.ts";
import type { Job } from "../../core/job/job.ts";
import type { StreamCursor } from "../../core/job/stream-cursor.ts";
import { STREAM_PAGE_CHUNK_BYTES, STREAM_PAGE_MAX_BYTES } from "../../core/limits.ts";
import type { MeteredSql } from "./metered-sql.ts";

/** How far the log of one attempt has come. */
interface LogEnd {
  /** Behind the last chunk that is shown. */
  readonly nextSeq: number;
  /** How many rows have a count: a worker that posts chunk by chunk has one for each of its posts. */
  readonly posts: number;
  /** All rows together. */
  readonly sizeBytes: number;
  /** The pieces behind that chunk, of a post that has not come to its end; `postId` null: of one before this start. */
  readonly open: { readonly postId: string | null; readonly pieces: number; readonly sizeBytes: number } | null;
  /** The post whose last piece was the last thing that was appended. */
  readonly endedPostId: string | null;
}

type ReadEnd = "nextSeq" | "posts" | "sizeBytes" | "pieces" | "openBytes";

type Chunk = StreamCursor & Frame;

/** `isOpen`: a piece that is not the last one of its chunk. `part`: the mark of each of the chunks. */
interface Appending {
  readonly isOpen?: boolean;
  readonly part?: ValuePart | undefined;
}

export class ChunkStore {
  readonly #sql: MeteredSql;
  readonly #bornAtMs: number;
  /** Ends of the logs that grow now, by uuid. */
  readonly #ends = new Map<string, LogEnd & { readonly attempt: number }>();

  constructor(sql: MeteredSql, nowMs: number) {
    this.#sql = sql;
    this.#bornAtMs = nowMs;
  }

  append(
    uuid: string,
    first: StreamCursor,
    chunks: readonly Uint8Array[],
    { isOpen = false, part }: Appending = {},
  ): void {
    this.#sql.run(
      "INSERT INTO chunks (uuid, attempt, seq, count, bytes) VALUES (?, ?, ?, ?, ?)",
      uuid,
      first.attempt,
      first.seq,
      isOpen ? 0 : chunks.length,
      packChunks(chunks, part).buffer,
    );
  }

  /** Deletes the pieces of a post that has not come to its end. */
  dropOpen(uuid: string, { attempt, seq }: StreamCursor): void {
    this.#sql.run("DELETE FROM chunks WHERE uuid = ? AND attempt = ? AND seq >= ?", uuid, attempt, seq);
  }

  end(uuid: string, attempt: number): LogEnd {
    const known = this.#ends.get(uuid);
    return known?.attempt === attempt ? known : this.#readEnd(uuid, attempt);
  }

  /** Notes the new end of a log, once what was appended is durable. */
  noteEnd(uuid: string, end: LogEnd & { readonly attempt: number }): void {
    this.#ends.set(uuid, end);
  }

  /** Bytes that the running attempt has streamed. Only an attempt from before this start can have bytes not in memory. */
  streamedBytes({ uuid, attempts, lease }: Job): number {
    const known = this.#ends.get(uuid);
    if (known?.attempt === attempts) return known.sizeBytes;
    return lease === null || lease.startedAtMs > this.#bornAtMs ? 0 : this.#readEnd(uuid, attempts).sizeBytes;
  }

  /** Called when the attempt is over: its log grows no more. */
  forgetEnd(uuid: string): void {
    this.#ends.delete(uuid);
  }

  #readEnd(uuid: string, attempt: number): LogEnd {
    const { nextSeq, posts, sizeBytes, pieces, openBytes } = this.#sql.one<Record<ReadEnd, number>>(
      `WITH log AS (SELECT seq, count, length(bytes) AS size FROM chunks WHERE uuid = ?1 AND attempt = ?2),
         shown AS (SELECT coalesce(max(seq + count), 1) AS nextSeq FROM log WHERE count > 0)
       SELECT nextSeq, count(seq) FILTER (WHERE count > 0) AS posts, coalesce(sum(size), 0) AS sizeBytes,
         count(seq) FILTER (WHERE seq >= nextSeq) AS pieces,
         coalesce(sum(size) FILTER (WHERE seq >= nextSeq), 0) AS openBytes
       FROM shown LEFT JOIN log`,
      uuid,
      attempt,
    );
    const open = pieces === 0 ? null : { postId: null, pieces, sizeBytes: openBytes };
    return { nextSeq, posts, sizeBytes, open, endedPostId: null };
  }

  /** Returns chunks after a place in order, up to about STREAM_PAGE_MAX_BYTES; `more`: others follow them. */
  page(uuid: string, after: StreamCursor): { readonly chunks: readonly Chunk[]; readonly more: boolean } {
    // The place may stand within a row: the walk begins at the row that holds it, found by the key.
    const rows = this.#sql.each<{ attempt: number; seq: number; bytes: ArrayBuffer }>(
      `SELECT attempt, seq, bytes FROM chunks WHERE uuid = ?1 AND (attempt, seq) >= (?2, coalesce(
         (SELECT max(seq) FROM chunks WHERE uuid = ?1 AND attempt = ?2 AND seq <= ?3), 0))
       AND (count > 0 OR EXISTS (SELECT 1 FROM chunks AS later WHERE later.uuid = chunks.uuid
         AND later.attempt = chunks.attempt AND later.seq > chunks.seq AND later.count > 0))
       ORDER BY attempt, seq`,
      uuid,
      after.attempt,
      after.seq,
    );
    const chunks: Chunk[] = [];
    let sizeBytes = 0;
    for (const { attempt, seq, bytes } of rows) {
      if (sizeBytes >= STREAM_PAGE_MAX_BYTES) return { chunks, more: true };
      for (const [at, chunk] of unpackChunks(new Uint8Array(bytes)).entries()) {
        if (attempt === after.attempt && seq + at <= after.seq) continue;
        chunks.push({ attempt, seq: seq + at, ...chunk });
        sizeBytes += chunk.bytes.length + STREAM_PAGE_CHUNK_BYTES;
      }
    }
    return { chunks, more: false };
  }

  drained(uuid: string): StreamCursor | null {
    const text = "SELECT attempt, seq FROM drained WHERE uuid = ?";
    return this.#sql.all<{ attempt: number; seq: number }>(text, uuid)[0] ?? null;
  }

  setDrained(uuid: string, { attempt, seq }: StreamCursor): void {
    this.#sql.run(
      `INSERT INTO drained (uuid, attempt, seq) VALUES (?, ?, ?)
       ON CONFLICT (uuid) DO UPDATE SET attempt = excluded.attempt, seq = excluded.seq`,
      uuid,
      attempt,
      seq,
    );
  }
}
