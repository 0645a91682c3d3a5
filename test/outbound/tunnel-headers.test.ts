// What of a client's headers reaches the worker of a load-balanced endpoint.
import { expect, it } from "vitest";
import { toWorkerHeaders } from "../../src/outbound/tunnel-headers.ts";

it.each([
  ["GET", "WebSocket", "websocket"],
  ["POST", "websocket", null],
  ["GET", "h2c", null],
])("%s with `upgrade: %s` asks the worker for %s", (method, upgrade, passed) => {
  const headers = new Headers({ upgrade, connection: "upgrade" });
  expect(toWorkerHeaders({ method, headers }, null).get("upgrade")).toBe(passed);
});
