// Collects one payload of unknown length: small ones stay in memory, larger ones go to R2 in parts of one size. It
// holds at most one part beside the present chunk; a writer waits until a full part has reached R2.

import type { PayloadRef } from "../core/json/payload-ref.ts";
import { PAYLOAD_ROW_MAX_BYTES, R2_PART_BYTES } from "../core/limits.ts";

/** Why a payload could not be kept. In both cases nothing of it is left in R2, as far as R2 answers. */
export type SinkFailure =
  | { readonly kind: "too_large"; readonly maxBytes: number }
  | { readonly kind: "storage_failed"; readonly message: string };

/** `key` is the R2 object that a large payload is written to; no other code may write to it. */
export interface SinkOptions {
  readonly bucket: R2Bucket;
  readonly key: string;
  readonly maxBytes: number;
  /** Up to this size a payload stays in memory; PAYLOAD_ROW_MAX_BYTES unless its reader has more to do with it. */
  readonly inlineMaxBytes?: number;
  /**
   * Called after each failed call to R2 with the number of failures of this payload; true: try again. So a Carrier can
   * keep a finished result for the time of one lease. Without this function the first failure is final.
   */
  readonly retryStorage?: (failures: number) => Promise<boolean>;
  /** Receives every byte on its way; the view is valid only during the call. */
  readonly tap?: (view: Uint8Array) => void;
}

/** One payload: `write` its bytes in order, then `finish`, or `abort` at any time after the last write was awaited. */
export class PayloadSink {
  /** Bytes allocated now, and the most there ever were. Chunks that are being copied count too. */
  heldBytes = 0;
  peakHeldBytes = 0;

  readonly #options: SinkOptions;
  readonly #inlineMaxBytes: number;
  #buffer = new Uint8Array(0);
  #used = 0;
  #totalBytes = 0;
  #upload: R2MultipartUpload | null = null;
  #uploaded: R2UploadedPart[] = [];
  #failures = 0;
  #failure: SinkFailure | null = null;
  #mayStand = false;

  constructor(options: SinkOptions) {
    this.#options = options;
    this.#inlineMaxBytes = options.inlineMaxBytes ?? PAYLOAD_ROW_MAX_BYTES;
  }

  /** Takes the next bytes; the view may be reused when the promise is done. Null means that all is well. */
  async write(view: Uint8Array): Promise<SinkFailure | null> {
    if (this.#failure !== null) return this.#failure;
    if (this.#totalBytes + view.length > this.#options.maxBytes) {
      return await this.#fail({ kind: "too_large", maxBytes: this.#options.maxBytes });
    }
    this.#totalBytes += view.length;
    this.#options.tap?.(view);
    this.#hold(view.length);
    let taken = 0;
    while (taken < view.length && this.#failure === null) {
      // A full part is sent only when more bytes follow, so that a value of exactly one part is stored by a plain put.
      if (this.#used === R2_PART_BYTES) await this.#sendPart();
      if (this.#failure === null) taken += this.#copy(view.subarray(taken));
    }
    this.#hold(-view.length);
    return this.#failure;
  }

  /** Ends the payload and returns where it is stored. */
  async finish(): Promise<PayloadRef | SinkFailure> {
    if (this.#failure !== null) return this.#failure;
    if (this.#totalBytes <= this.#inlineMaxBytes) {
      const bytes = this.#buffer.slice(0, this.#used);
      this.#release();
      return { kind: "inline", bytes };
    }
    const rest = this.#buffer.subarray(0, this.#used);
    const { bucket, key } = this.#options;
    if (this.#upload === null) {
      this.#mayStand = true;
      await this.#store(() => bucket.put(key, rest));
    } else {
      await this.#sendPart();
      if (this.#failure === null) await this.#complete(this.#upload);
    }
    this.#release();
    return this.#failure ?? { kind: "r2", key, sizeBytes: this.#totalBytes };
  }

  /**
   * Drops the payload, also after `finish`. Errors of R2 are ignored, because nobody could act on them: R2 ends open
   * uploads itself after a week, and a lifecycle rule deletes what is left.
   */
  async abort(): Promise<void> {
    this.#release();
    const upload = this.#upload;
    this.#upload = null;
    if (upload !== null) await upload.abort().catch(() => undefined);
    if (this.#mayStand) await this.#options.bucket.delete(this.#options.key).catch(() => undefined);
    this.#mayStand = false;
  }

  #copy(view: Uint8Array): number {
    const wanted = Math.min(this.#used + view.length, R2_PART_BYTES);
    if (wanted > this.#buffer.length) this.#grow(wanted);
    const fits = view.subarray(0, this.#buffer.length - this.#used);
    this.#buffer.set(fits, this.#used);
    this.#used += fits.length;
    return fits.length;
  }

  /** Doubles the buffer up to what stays in memory, then takes the room of one part at once. */
  #grow(wantedBytes: number): void {
    const doubled = Math.max(wantedBytes, this.#buffer.length * 2, 1_024);
    const size = wantedBytes > this.#inlineMaxBytes ? R2_PART_BYTES : Math.min(doubled, this.#inlineMaxBytes);
    const old = this.#buffer;
    this.#hold(size);
    this.#buffer = new Uint8Array(size);
    this.#buffer.set(old.subarray(0, this.#used));
    this.#hold(-old.length);
  }

  async #sendPart(): Promise<void> {
    const { bucket, key } = this.#options;
    if (this.#upload === null) this.#upload = (await this.#store(() => bucket.createMultipartUpload(key))) ?? null;
    const upload = this.#upload;
    if (upload === null) return;
    const bytes = this.#buffer.subarray(0, this.#used);
    const part = await this.#store(() => upload.uploadPart(this.#uploaded.length + 1, bytes));
    if (part !== undefined) this.#uploaded.push(part);
    this.#used = 0;
  }

  async #complete(upload: R2MultipartUpload): Promise<void> {
    const { bucket, key } = this.#options;
    this.#mayStand = true;
    await this.#store(async () => {
      try {
        await upload.complete(this.#uploaded);
      } catch (error) {
        // R2 may have done its work though its answer was lost; a second try would then fail for ever.
        const standing = await bucket.head(key);
        if (standing?.size !== this.#totalBytes) throw error;
      }
    });
    if (this.#failure === null) this.#upload = null;
  }

  /** Makes one call to R2, and repeats it while `retryStorage` allows; undefined after the last failure. */
  async #store<T>(call: () => Promise<T>): Promise<T | undefined> {
    for (;;) {
      try {
        return await call();
      } catch (error) {
        this.#failures++;
        const again = (await this.#options.retryStorage?.(this.#failures)) ?? false;
        if (again) continue;
        const reason = error instanceof Error ? error.message : String(error);
        await this.#fail({ kind: "storage_failed", message: `R2 did not take the payload: ${reason}` });
        return undefined;
      }
    }
  }

  async #fail(failure: SinkFailure): Promise<SinkFailure> {
    this.#failure = failure;
    await this.abort();
    return failure;
  }

  #release(): void {
    this.#hold(-this.#buffer.length);
    this.#buffer = new Uint8Array(0);
    this.#used = 0;
  }

  #hold(bytes: number): void {
    this.heldBytes += bytes;
    this.peakHeldBytes = Math.max(this.peakHeldBytes, this.heldBytes);
  }
}
