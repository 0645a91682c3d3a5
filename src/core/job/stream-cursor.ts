// A place in the chunks of a job: those of each attempt are numbered from 1, and a later attempt comes after all of an earlier.

export interface StreamCursor {
  readonly attempt: number;
  /** The last chunk that was seen; 0: none of this attempt. */
  readonly seq: number;
}

export const STREAM_START: StreamCursor = { attempt: 0, seq: 0 };

/** The later of two places. */
export function laterOf(a: StreamCursor, b: StreamCursor): StreamCursor {
  return b.attempt > a.attempt || (b.attempt === a.attempt && b.seq > a.seq) ? b : a;
}

/** As an event's id: `attempt.seq`. */
export function cursorText({ attempt, seq }: StreamCursor): string {
  return `${attempt}.${seq}`;
}

const CURSOR = /^(\d{1,9})\.(\d{1,12})$/;

/** Null: no such place. */
export function parseCursor(text: string): StreamCursor | null {
  const [, attempt, seq] = CURSOR.exec(text) ?? [];
  return attempt === undefined || seq === undefined ? null : { attempt: Number(attempt), seq: Number(seq) };
}
