// A place in a job's chunks: each attempt's are numbered from 1, and a later attempt's come after all earlier ones.

export interface StreamCursor {
  readonly attempt: number;
  /** The number of the last chunk that was read; 0: none of this attempt was. */
  readonly seq: number;
}

export const STREAM_START: StreamCursor = { attempt: 0, seq: 0 };

/** The later of two places. */
export function laterOf(a: StreamCursor, b: StreamCursor): StreamCursor {
  return b.attempt > a.attempt || (b.attempt === a.attempt && b.seq > a.seq) ? b : a;
}

/** The place as the id of a server-sent event: `attempt.seq`. */
export function cursorText({ attempt, seq }: StreamCursor): string {
  return `${attempt}.${seq}`;
}

const CURSOR = /^(\d{1,9})\.(\d{1,12})$/;

/** Reads such an id; null: the text is none. */
export function parseCursor(text: string): StreamCursor | null {
  const [, attempt, seq] = CURSOR.exec(text) ?? [];
  return attempt === undefined || seq === undefined ? null : { attempt: Number(attempt), seq: Number(seq) };
}
