// Would fetch refuse to make a request of this method, these headers, this address or this body? A refused request was
// not sent and proves nothing about its receiver, but fetch's error alone does not tell it from a failed connection.

export interface RequestShape {
  readonly url: string;
  readonly method: string;
  readonly headers: HeadersInit;
  readonly hasBody: boolean;
}

/** Why no request can be made, after fetch has thrown `cause`; null: one can be made, so the call itself failed. */
export function refusalOf({ url, method, headers, hasBody }: RequestShape, cause: unknown): string | null {
  // A call that fails on its way throws no TypeError; checking it again would add time to every such failure.
  if (!(cause instanceof TypeError)) return null;
  try {
    new Request(url, { method, headers, ...(hasBody ? { body: "{}" } : {}) });
    return null;
  } catch (refusal) {
    return refusal instanceof Error ? refusal.message : String(refusal);
  }
}
