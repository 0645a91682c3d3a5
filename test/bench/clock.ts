// What the processes of the bench must understand alike: the time, and how a stream is paced.

/** Whole microseconds since the epoch; two processes of one machine agree on it well enough to compare routes by. */
export function epochUs(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1_000);
}

export interface StreamShape {
  /** From the end of the request to the first chunk. */
  readonly firstMs: number;
  readonly chunkCount: number;
  /** Between two chunks. */
  readonly paceMs: number;
}

/** The shape as the model's name of a chat request. */
export function modelOf({ firstMs, chunkCount, paceMs }: StreamShape): string {
  return `bench-${firstMs}-${chunkCount}-${paceMs}`;
}
