// Two joined WebSockets: the session ends when nobody says anything for too long, and only then.
import { afterEach, expect, it, vi } from "vitest";
import { LB_SOCKET_IDLE_MS } from "../../src/core/limits.ts";
import { SecretForms } from "../../src/core/secret-forms.ts";
import { joinSockets } from "../../src/http/lb-socket.ts";

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
