// Webhooks: RunPod's body byte for byte, Standard Webhooks signatures, and what each answer of a receiver means.
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it, vi } from "vitest";
import type { JobView } from "../../src/contract/job-view.ts";
import type { PayloadRef } from "../../src/core/json/payload-ref.ts";
import { sendWebhook, signWebhook, webhookBody } from "../../src/outbound/webhook.ts";
import { PUBLIC_ONLY } from "../support/reach.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const URL_TEXT = "https://hooks.example.org/done";
const JOB: JobView = {
  id: "job-u1",
  status: "COMPLETED",
  delayMs: 12,
  executionMs: 34,
  workerId: null,
  error: null,
  failure: null,
  retries: 0,
  output: inline('{"b":1.0,"a":1e21,"t":"\u2028é"}'),
  queue: null,
};

afterEach(() => vi.restoreAllMocks());

function inline(text: string): PayloadRef {
  return { kind: "inline", bytes: new TextEncoder().encode(text) };
}

function text(parts: readonly (string | PayloadRef)[]): string {
  return parts
    .map((part) =>
      typeof part === "string" ? part : part.kind === "inline" ? new TextDecoder().decode(part.bytes) : "R2",
    )
    .join("");
}

async function send(body = "{}") {
  const call = { url: URL_TEXT, secrets: [SECRET], webhookId: "msg_1", at: new Date(), body };
  return (await sendWebhook(call, PUBLIC_ONLY)).result;
}

it("signs the public test vector of the standard", () => {
  const headers = signWebhook(
    [SECRET],
    "msg_p5jXN8AQM9LWM0D4loKWxJek",
    new Date(1_614_265_330_000),
    '{"test": 2432232314}',
  );
  expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
});

it("signs with each secret, so that the public library verifies with either", () => {
  const former = `whsec_${btoa("the secret before this one")}`;
  const at = new Date();
  const headers = signWebhook([SECRET, former], "msg_1", at, "{}");
  expect(headers["webhook-signature"]).toMatch(/^v1,\S+ v1,\S+$/);
  for (const secret of [SECRET, former]) expect(new Webhook(secret).verify("{}", headers)).toEqual({});
  const other = `whsec_${btoa("the secret of somebody else")}`;
  expect(() => new Webhook(other).verify("{}", headers)).toThrow("No matching signature");
});

it("writes RunPod's body with sorted keys and untouched payloads", () => {
  const body = text(webhookBody({ endpointId: "ep", job: JOB, input: inline('{"x" : 1}'), url: URL_TEXT }));
  expect(body).toBe(
    `{"delayTime":12,"executionTime":34,"id":"job-u1","input":{"x" : 1},"output":{"b":1.0,"a":1e21,"t":"\u2028é"},"status":"COMPLETED","webhook":"${URL_TEXT}"}`,
  );
});

it("leaves payloads of more than 1 MiB out and says where they are", () => {
  const output: PayloadRef = { kind: "r2", key: "k", sizeBytes: 1024 * 1024 };
  const body = text(webhookBody({ endpointId: "ep", job: { ...JOB, output }, input: inline("{}"), url: URL_TEXT }));
  expect(JSON.parse(body)).toEqual({
    delayTime: 12,
    executionTime: 34,
    id: "job-u1",
    status: "COMPLETED",
    statusUrl: "/v2/ep/status/job-u1",
    truncated: true,
    webhook: URL_TEXT,
  });
});

it("sends what the public library verifies, and refuses to verify a changed byte", async () => {
  let seen: { headers: Record<string, string>; body: string } | undefined;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const request = new Request(String(url), init as RequestInit);
    seen = { headers: Object.fromEntries(request.headers), body: await request.text() };
    return new Response(null, { status: 204 });
  });
  const body = '{"output":{"t":"\u2028é","n":1e21}}';
  expect(await send(body)).toEqual({ kind: "delivered" });
  expect(seen?.headers["user-agent"]).toBe("Waybill-Webhook/1");
  const received = seen?.body ?? "";
  expect(new Webhook(SECRET).verify(received, seen?.headers ?? {})).toEqual({ output: { t: "\u2028é", n: 1e21 } });
  expect(() => new Webhook(SECRET).verify(received.replace("1e21", "1e22"), seen?.headers ?? {})).toThrow(
    "No matching signature",
  );
});

it.each([
  [200, {}, { kind: "delivered" }],
  [410, {}, { kind: "gone" }],
  [
    301,
    { location: "https://elsewhere.example.org/" },
    { kind: "failed", detail: "the receiver answered 301; redirects are not followed", retryAfterMs: null },
  ],
  [404, {}, { kind: "failed", detail: "the receiver answered 404", retryAfterMs: null }],
  [429, { "retry-after": "7" }, { kind: "failed", detail: "the receiver answered 429", retryAfterMs: 7_000 }],
  [503, { "retry-after": "999999" }, { kind: "failed", detail: "the receiver answered 503", retryAfterMs: 86_400_000 }],
  [503, { "retry-after": "soon" }, { kind: "failed", detail: "the receiver answered 503", retryAfterMs: null }],
])("takes a %i with %j for %j", async (status, headers, result) => {
  vi.spyOn(globalThis, "fetch").mockImplementation(
    async () => new Response(status === 204 ? null : "secret text", { status, headers }),
  );
  expect(await send()).toEqual(result);
});

it.each([200, 301, 404, 410])("notes the status %i, when the try began and how long it took", async (status) => {
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => {
    await scheduler.wait(20);
    return new Response(null, { status, headers: { location: "https://elsewhere.example.org/" } });
  });
  const at = new Date();
  const call = { url: URL_TEXT, secrets: [SECRET], webhookId: "msg_1", at, body: "{}" };
  const tried = await sendWebhook(call, PUBLIC_ONLY);
  expect(tried).toMatchObject({ status, atMs: at.getTime() });
  expect(tried.tookMs).toBeGreaterThanOrEqual(15);
  expect(tried.tookMs).toBeLessThan(5_000);
});

it("does not read more of an answer than it must", async () => {
  let pulls = 0;
  const endless = new ReadableStream<Uint8Array>(
    { pull: (controller) => void controller.enqueue(new Uint8Array(1_024).fill(++pulls)) },
    { highWaterMark: 0 },
  );
  vi.spyOn(globalThis, "fetch").mockImplementation(async () => new Response(endless));
  expect(await send()).toEqual({ kind: "delivered" });
  expect(pulls).toBeLessThan(5);
});

it("never calls a URL that the guard refuses", async () => {
  const fetched = vi.spyOn(globalThis, "fetch");
  const call = { url: "https://127.0.0.1/", secrets: [SECRET], webhookId: "msg_1", at: new Date(), body: "{}" };
  const { result, status } = await sendWebhook(call, PUBLIC_ONLY);
  expect(result).toMatchObject({ kind: "failed", retryAfterMs: null });
  expect(status).toBeNull();
  expect(fetched).not.toHaveBeenCalled();
});
