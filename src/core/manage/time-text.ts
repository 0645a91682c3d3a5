// Times as the management API writes them: RFC 3339, in UTC, with milliseconds.

export function toTimeText(ms: number): string;
export function toTimeText(ms: number | null): string | null;
/** `ms`: epoch ms; null: there is no such time. */
export function toTimeText(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
