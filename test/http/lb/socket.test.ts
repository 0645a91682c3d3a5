// Two joined WebSockets: the session ends when nobody says anything for too long, and when one side is sent much more than it shows
// that it reads.
import { afterEach, expect, it, vi } from "vitest";
import { SecretForms } from "../../../src/core/access/secret-forms.ts";
import { LB_SOCKET_IDLE_MS } from "../../../src/core/limits.ts";
import { joinSockets } from "../../../src/http/lb/socket.ts";

afterEach(() => vi.restoreAllMocks());

it.each([
  [999, 1_011],
  [1_004, 1_011],
  [1_006, 1_011],
  [1_015, 1_011],
  [2_999, 1_011],
  [5_000, 1_011],
  [1_012, 1_012],
  [3_000, 3_000],
])("a worker that closes with %i closes its client's side with %i", async (said, heard) => {
  const { 0: client, 1: clientSide } = new WebSocketPair();
  const { 1: workerSide } = new WebSocketPair();
  const joined = joinSockets(clientSide, workerSide, 1_000);
  const code = new Promise((resolve) => client.addEventListener("close", (event) => resolve(event.code)));
  client.accept();
  workerSide.dispatchEvent(new CloseEvent("close", { code: said, reason: "why" }));
  expect(await Promise.race([code, scheduler.wait(1_000)])).toBe(heard);
  await joined.end;
});

it("a session without a message for 5.5 min ends with 1001 on both sides, and a message gives it as long again", async () => {
  const setReal = setTimeout;
  vi.spyOn(globalThis, "setTimeout").mockImplementation((run: () => void, ms?: number) =>
    setReal(run, ms === LB_SOCKET_IDLE_MS ? 300 : ms),
  );
  const { 0: client, 1: clientSide } = new WebSocketPair();
  const { 0: worker, 1: workerSide } = new WebSocketPair();
  const joined = joinSockets(clientSide, workerSide, 1_000);
  const codes: number[] = [];
  const heard: unknown[] = [];
  for (const socket of [client, worker]) {
    socket.addEventListener("close", ({ code }) => codes.push(code));
    socket.accept();
  }
  worker.addEventListener("message", ({ data }) => heard.push(data));
  const startedMs = Date.now();
  await scheduler.wait(200);
  client.send("still here");
  expect(await joined.end).toBe("closed");
  expect(Date.now() - startedMs).toBeGreaterThanOrEqual(450);
  expect(heard).toEqual(["still here"]);
  await vi.waitFor(() => expect(codes).toEqual([1_001, 1_001]));
});

it("a worker's messages and its last words have no secret in them, a client's are left as they are", async () => {
  const secret = "sk-operator-0123456789";
  const stars = "*".repeat(secret.length);
  const { 0: client, 1: clientSide } = new WebSocketPair();
  const { 0: worker, 1: workerSide } = new WebSocketPair();
  joinSockets(clientSide, workerSide, 1_000, new SecretForms([secret]));
  const toClient: string[] = [];
  const toWorker: unknown[] = [];
  const note = (data: unknown) =>
    toClient.push(typeof data === "string" ? data : `bytes ${new TextDecoder().decode(data as ArrayBuffer)}`);
  client.binaryType = "arraybuffer";
  client.addEventListener("message", ({ data }) => note(data));
  client.addEventListener("close", ({ reason }) => toClient.push(`closed ${reason}`));
  worker.addEventListener("message", ({ data }) => toWorker.push(data));
  for (const socket of [client, worker]) socket.accept();
  client.send(`guess ${secret}`);
  await vi.waitFor(() => expect(toWorker).toEqual([`guess ${secret}`]));
  worker.send(`text ${secret}`);
  worker.send(new TextEncoder().encode(`x${secret}`));
  worker.close(3_000, secret);
  await vi.waitFor(() => expect(toClient).toEqual([`text ${stars}`, `bytes x${stars}`, `closed ${stars}`]));
});

const MIB = 1024 * 1024;

/** Both far ends of a session whose messages may have 8 MiB, by a clock of its own, and what has come of it. */
function session() {
  let nowMs = 0;
  vi.spyOn(Date, "now").mockImplementation(() => nowMs);
  const { 0: client, 1: clientSide } = new WebSocketPair();
  const { 0: worker, 1: workerSide } = new WebSocketPair();
  const joined = joinSockets(clientSide, workerSide, 8 * MIB);
  const closes: { readonly code: number; readonly reason: string }[] = [];
  const heard = { client: 0, worker: 0 };
  for (const [name, socket] of [["client", client] as const, ["worker", worker] as const]) {
    socket.addEventListener("close", ({ code, reason }) => closes.push({ code, reason }));
    socket.addEventListener("message", () => {
      heard[name] += 1;
    });
    socket.accept();
  }
  const wait = (ms: number): void => {
    nowMs += ms;
  };
  return { client, worker, joined, closes, heard, wait };
}

it.each(["client", "worker"] as const)(
  "a %s that is sent over 40 MiB in silence is told why, whatever a message may have",
  async (name) => {
    const { client, worker, joined, closes, heard } = session();
    const other = name === "client" ? worker : client;
    for (let sent = 0; sent < 10; sent += 1) other.send(new Uint8Array(8 * MIB));
    expect(await joined.end).toBe("closed");
    await vi.waitFor(() => expect(closes).toHaveLength(2));
    for (const { code, reason } of closes) {
      expect(code).toBe(1_008);
      expect(reason).toMatch(new RegExp(`^${48 * MIB} bytes may be unread`));
    }
    expect(heard[name]).toBe(5);
    await joined.clientGone;
  },
);

it("a client that says a word to each message of a fast worker, and may read none of them, is told why", async () => {
  const { client, worker, joined, closes, heard, wait } = session();
  let rounds = 0;
  while (closes.length === 0 && rounds < 50) {
    rounds += 1;
    wait(10);
    worker.send(new Uint8Array(MIB));
    client.send("y");
    await vi.waitFor(() => expect(closes.length > 0 || heard.worker === rounds).toBe(true));
  }
  expect(closes).toContainEqual({ code: 1_008, reason: expect.stringContaining("may be unread") });
  expect(rounds).toBeGreaterThan(40);
  expect(await joined.end).toBe("closed");
  await joined.clientGone;
});

it("a side that says something now and then may be sent any amount", async () => {
  const { client, worker, joined, closes, heard, wait } = session();
  for (let round = 1; round <= 5; round += 1) {
    for (let sent = 0; sent < 3; sent += 1) worker.send(new Uint8Array(8 * MIB));
    await vi.waitFor(() => expect(heard.client).toBe(3 * round));
    wait(12_000);
    client.send("go on");
    await vi.waitFor(() => expect(heard.worker).toBe(round));
  }
  expect(closes).toEqual([]);
  client.close(1_000);
  expect(await joined.end).toBe("closed");
  await joined.clientGone;
});

it("sides that answer each other's large messages may go on at any speed", async () => {
  const { client, worker, joined, closes, heard } = session();
  for (let round = 1; round <= 8; round += 1) {
    client.send(new Uint8Array(8 * MIB));
    await vi.waitFor(() => expect(heard.worker).toBe(round));
    worker.send(new Uint8Array(8 * MIB));
    await vi.waitFor(() => expect(heard.client).toBe(round));
  }
  expect(closes).toEqual([]);
  client.close(1_000);
  expect(await joined.end).toBe("closed");
  await joined.clientGone;
});
