// Builds every answer of the job routes: JSON with the same safe headers. No other code builds one.

/** An answer whose body is already JSON text, bytes, or a stream of them. */
export function rawAnswer(
  status: number,
  body: string | Uint8Array | ReadableStream | null,
  requestId: string,
  extra: Readonly<Record<string, string>> = {},
): Response {
  const headers = {
    "content-type": "application/json; charset=utf-8",
    "x-content-type-options": "nosniff",
    // A status is old as soon as it is sent, and it belongs to one tenant, so no cache may keep it.
    "cache-control": "no-store",
    "x-request-id": requestId,
    ...extra,
  };
  return new Response(body, { status, headers });
}

/** An answer with a plain value as its body. */
export function jsonAnswer(
  status: number,
  value: unknown,
  requestId: string,
  extra: Readonly<Record<string, string>> = {},
): Response {
  return rawAnswer(status, JSON.stringify(value), requestId, extra);
}
