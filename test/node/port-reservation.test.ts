// Ports for workers that are still to be started.
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, it } from "vitest";
import { findFreePort } from "../../src/cli/dev-ports.ts";
import { reservePort } from "../../src/cli/project/port-reservation.ts";

it("two that look at the same moment get two ports, from 8000 on", async () => {
  const both = await Promise.all([reservePort(undefined), reservePort(undefined)]);
  const [first = 0, second = 0] = both.map(({ port }) => port);
  expect(first).not.toBe(second);
  expect(Math.min(first, second)).toBeGreaterThanOrEqual(8_000);
  for (const { release } of both) release();
});

it("one that is named is refused while another has it, or listens there", async () => {
  const port = await findFreePort();
  const reserved = await reservePort(port);
  await expect(reservePort(port)).rejects.toThrow(`--port ${port} is in use`);
  reserved.release();
  reserved.release();
  const server = createServer().listen(port, "127.0.0.1");
  await once(server, "listening");
  await expect(reservePort(port)).rejects.toThrow(`--port ${port} is in use`);
  server.close();
  await once(server, "close");
  (await reservePort(port)).release();
});
