// Whether fetch would have a request at all: its method, its headers, its address, a body where none may be. What it refuses was
// never sent, and says nothing of who would have received it; the error alone does not tell that from a failed connection.

export interface RequestShape {
  readonly url: string;
  readonly method: string;
  readonly headers: HeadersInit;
  readonly hasBody: boolean;
}

/** Why no request can be made of it, after fetch has thrown `cause`; null: one can, so that what failed is the call. */
export function refusalOf({ url, method, headers, hasBody }: RequestShape, cause: unknown): string | null {
  // A call that fails on its way is no TypeError; asking again would cost time on the way of every failure.
  if (!(cause instanceof TypeError)) return null;
  try {
    new Request(url, { method, headers, ...(hasBody ? { body: "{}" } : {}) });
    return null;
  } catch (refusal) {
    return refusal instanceof Error ? refusal.message : String(refusal);
  }
}
