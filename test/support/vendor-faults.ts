// Calls to a vendor inside workerd, which meet its fake or a fault on their way, by the test's choice.
import { vi } from "vitest";
import type { FakeVendor } from "./fake-vendor.ts";

/**
 * What the next call meets. `status`: this answer in place of the vendor's. `lost`: the connection breaks before the answer. `silent`: no
 * answer comes. `half`: the answer breaks off within its body. `isDone`: the vendor has done what was asked for.
 */
export type Fault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly body?: string;
      readonly headers?: Readonly<Record<string, string>>;
      readonly isDone?: boolean;
    }
  | { readonly kind: "lost" | "silent" | "half"; readonly isDone: boolean };

export interface VendorCalls {
  /** The next calls meet these, one each. */
  meet(...faults: readonly Fault[]): void;
  readonly seen: { readonly method: string; readonly path: string; readonly headers: Headers; readonly body: string }[];
}

/** Puts the vendor in place of whatever fetch would reach. */
export function reachVendor(vendor: FakeVendor): VendorCalls {
  const faults: Fault[] = [];
  const seen: VendorCalls["seen"] = [];
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input, init) => {
    const request = new Request(String(input), init as RequestInit);
    const { pathname, search } = new URL(request.url);
    // A server has read all of the request when it begins.
    const call = {
      method: request.method,
      path: pathname + search,
      headers: request.headers,
      body: await request.text(),
    };
    seen.push(call);
    const fault = faults.shift();
    if (fault === undefined) return toResponse(vendor.handle(call));
    const reply = fault.isDone === true ? toResponse(vendor.handle(call)) : null;
    switch (fault.kind) {
      case "status":
        return new Response(fault.body ?? "{}", {
          status: fault.status,
          ...(fault.headers && { headers: fault.headers }),
        });
      case "lost":
        throw new Error("Network connection lost.");
      case "silent":
        return await new Promise<never>((_, reject) => {
          request.signal.addEventListener("abort", () => reject(new Error("aborted")));
        });
      case "half":
        return halfOf(reply ?? new Response("{}"));
    }
  });
  return { meet: (...more) => void faults.push(...more), seen };
}

function toResponse({ status, headers, body }: ReturnType<FakeVendor["handle"]>): Response {
  return new Response(body === null ? null : JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}

function halfOf(whole: Response): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      const bytes = new Uint8Array(await whole.arrayBuffer());
      controller.enqueue(bytes.subarray(0, Math.ceil(bytes.length / 2)));
    },
    pull: (controller) => controller.error(new Error("the connection broke")),
  });
  return new Response(body, { status: whole.status, headers: whole.headers });
}
