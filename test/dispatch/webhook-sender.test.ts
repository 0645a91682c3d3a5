// One try of a webhook: opened secret, spliced body, and a thin body when R2 has lost a payload.
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it, vi } from "vitest";
import type { Delivery } from "../../src/contract/broker.ts";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import type { PayloadRef } from "../../src/core/json/payload-ref.ts";
import { tryDelivery } from "../../src/dispatch/webhook-sender.ts";
import { seal } from "../../src/outbound/credentials.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

afterEach(() => vi.restoreAllMocks());

async function deliver(input: PayloadRef) {
  let received: unknown;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const request = new Request(String(url), init as RequestInit);
    received = new Webhook(SECRET).verify(await request.text(), Object.fromEntries(request.headers));
    return new Response(null, { status: 200 });
  });
  const job = {
    id: "j-u1",
    status: "COMPLETED",
    delayMs: 1,
    executionMs: 2,
    workerId: null,
    error: null,
    failure: null,
  } as const;
  const delivery: Delivery = {
    endpointId: "ep",
    jobId: "j-u1",
    round: 0,
    tryNumber: 1,
    webhookId: "msg_1",
    url: "https://hooks.example.org/",
    tenantId: "nobody",
    sealedSecret: await seal(SECRET, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE),
    job: { ...job, retries: 0, output: null, queue: null },
    input,
  };
  return { result: (await tryDelivery(delivery, env)).result, received };
}

it("delivers a signed body with the input", async () => {
  const { result, received } = await deliver({ kind: "inline", bytes: new TextEncoder().encode('{"a":1}') });
  expect(result).toEqual({ kind: "delivered" });
  expect(received).toMatchObject({ id: "j-u1", input: { a: 1 }, status: "COMPLETED" });
});

it("delivers the news without the payload when R2 has lost it", async () => {
  const { result, received } = await deliver({ kind: "r2", key: "ep/gone/input", sizeBytes: 300_000 });
  expect(result).toEqual({ kind: "delivered" });
  expect(received).toMatchObject({ id: "j-u1", truncated: true, statusUrl: "/v2/ep/status/j-u1" });
});
