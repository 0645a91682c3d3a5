// Where the raw bytes of one JSON value are stored. Payloads are never parsed: they go out as they came, byte for byte.

/** `inline`: the bytes themselves, at most PAYLOAD_ROW_MAX_BYTES. `r2`: an object of the bucket PAYLOADS. */
export type PayloadRef =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "r2"; readonly key: string; readonly sizeBytes: number };
