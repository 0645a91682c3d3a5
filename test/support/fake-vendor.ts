// What a fake of a vendor's API is to a test: requests in, answers out. How they travel is for others: past fetch inside workerd
// (vendor-faults.ts), or over HTTP (fake-runpod.ts).

export interface VendorRequest {
  readonly method: string;
  /** From the first slash of the path on, with the query. */
  readonly path: string;
  readonly headers: Headers;
  readonly body: string;
}

export interface VendorReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Null: no body. */
  readonly body: unknown;
}

export interface FakeVendor {
  handle(request: VendorRequest): VendorReply;
}
