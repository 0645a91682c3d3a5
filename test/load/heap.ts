// V8's heap of the Worker, by its inspector: what is in use after a forced collection. All isolates that run our code count.
import * as z from "zod";
import { openInspector } from "./inspector.ts";

const usageSchema = z.object({ usedSize: z.number(), backingStorageSize: z.number().optional() });

export interface HeapUsage {
  readonly usedBytes: number;
  /** Array buffers stand outside the heap proper; they count as well. */
  readonly backingBytes: number;
}

/** Forces a collection and reads what is left. */
export async function collectedHeap(inspectorPort: number): Promise<HeapUsage> {
  let usedBytes = 0;
  let backingBytes = 0;
  for (const session of await openInspector(inspectorPort)) {
    await session.call("HeapProfiler.collectGarbage");
    await session.call("HeapProfiler.collectGarbage");
    const usage = usageSchema.parse(await session.call("Runtime.getHeapUsage"));
    usedBytes += usage.usedSize;
    backingBytes += usage.backingStorageSize ?? 0;
    session.close();
  }
  return { usedBytes, backingBytes };
}
