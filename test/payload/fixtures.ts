// What the payload tests share: bodies as streams, bytes to compare, and an R2 that can be slow or broken.

/** Bytes that differ everywhere and are a JSON string, so that a lost or doubled part shows. */
export function jsonString(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = 0x61 + ((at ^ (at >> 7) ^ (at >> 15)) % 26);
  bytes[0] = 0x22;
  bytes[sizeBytes - 1] = 0x22;
  return bytes;
}

export function join(...parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  const arrays = parts.map((part) => (typeof part === "string" ? new TextEncoder().encode(part) : part));
  const joined = new Uint8Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}

/** A body as the runtime gives it: a byte stream. */
export function byteStream(...parts: readonly (string | Uint8Array)[]): ReadableStream<Uint8Array> {
  const { body } = new Response(join(...parts));
  if (body === null) throw new Error("a response with bytes has a body");
  return body;
}

/** A stream of chunks, pulled one by one; counts how many were taken and whether the reader stopped it. */
export function chunkStream(chunks: Iterable<Uint8Array>) {
  const source = chunks[Symbol.iterator]();
  const seen = { chunks: 0, cancelled: false };
  const stream = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const next = source.next();
        if (next.done === true) return controller.close();
        seen.chunks++;
        controller.enqueue(next.value);
      },
      cancel() {
        seen.cancelled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { stream, seen };
}

/** Are two arrays the same? Faster than a matcher over megabytes, and short when they differ. */
export function firstDifference(left: Uint8Array, right: Uint8Array): number | null {
  for (let at = 0; at < Math.max(left.length, right.length); at++) if (left[at] !== right[at]) return at;
  return null;
}

/** The same bucket with some methods replaced. */
export function wrapBucket(bucket: R2Bucket, methods: Partial<Record<keyof R2Bucket, unknown>>): R2Bucket {
  return new Proxy(bucket, {
    get(target, name) {
      const replaced = Reflect.get(methods, name);
      if (replaced !== undefined) return replaced;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The same bucket; each upload of a part first awaits `before`, which may throw; aborted keys are noted. */
export function wrapParts(
  bucket: R2Bucket,
  before: (partNumber: number, sizeBytes: number) => Promise<void>,
  aborted: string[] = [],
): R2Bucket {
  return wrapBucket(bucket, {
    async createMultipartUpload(key: string) {
      const upload = await bucket.createMultipartUpload(key);
      return {
        key,
        uploadId: upload.uploadId,
        async uploadPart(partNumber: number, value: Uint8Array) {
          await before(partNumber, value.length);
          return await upload.uploadPart(partNumber, value);
        },
        abort() {
          aborted.push(key);
          return upload.abort();
        },
        complete: (parts: R2UploadedPart[]) => upload.complete(parts),
      } satisfies R2MultipartUpload;
    },
  });
}
