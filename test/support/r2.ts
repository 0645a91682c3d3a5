// R2 that is away: for the objects, the edge and the test alike.
import { env } from "cloudflare:workers";
import { vi } from "vitest";

/** R2 fails these calls until `heal`. */
export function breakR2(...calls: readonly ("head" | "get" | "put" | "delete")[]): {
  readonly calls: () => number;
  readonly heal: () => void;
} {
  const bucket: R2Bucket = Object.getPrototypeOf(env.PAYLOADS);
  const names = calls.length === 0 ? (["head", "get", "put", "delete"] as const) : calls;
  const spies = names.map((name) => vi.spyOn(bucket, name).mockRejectedValue(new Error("R2 is unreachable")));
  return {
    calls: () => spies.reduce((sum, spy) => sum + spy.mock.calls.length, 0),
    heal: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}
