// Parses the header Retry-After, which is in seconds or a date, to milliseconds from now.

/** The milliseconds that a receiver asks for; null when it asks for none or in no readable form. Callers clamp them. */
export function parseRetryAfter(text: string | null, nowMs: number): number | null {
  const value = text?.trim() ?? "";
  if (/^\d{1,12}$/.test(value)) return Number(value) * 1_000;
  // Only the form that HTTP prescribes is read, because Date.parse accepts far more.
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value)) return null;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
