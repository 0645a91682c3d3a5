// The log of deliveries: what each try of a webhook came to. It never has a body, a secret, or what a receiver said.

export interface DeliveryTry {
  readonly atMs: number;
  readonly jobId: string;
  readonly webhookId: string;
  readonly tryNumber: number;
  readonly delivered: boolean;
  /** The receiver's HTTP status; null: there was none. */
  readonly status: number | null;
  /** One sentence. */
  readonly detail: string;
  /** Null: the sender was of an earlier release, which did not measure it. */
  readonly tookMs: number | null;
}

export interface DeliveryLogApi {
  /**
   * The newest tries of the caller's webhooks, newest first. `before`: the `next` of the answer before; null: from the
   * start.
   */
  listDeliveries(call: {
    readonly tenantId: string;
    readonly before: number | null;
    readonly limit: number;
  }): Promise<DeliveryPage>;
  /** Adds a try that was made past the broker: a dead letter that was sent again. */
  noteDelivery(call: { readonly tenantId: string; readonly tried: DeliveryTry }): Promise<void>;
}

export interface DeliveryPage {
  readonly deliveries: readonly DeliveryTry[];
  /** Null: there are no older ones. */
  readonly next: number | null;
}
