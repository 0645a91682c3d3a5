// One try of a webhook: opened secret, spliced body, and a thin body when R2 has lost a payload.
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, expect, it, vi } from "vitest";
import { WEBHOOK_SECRET_PLACE } from "../../src/core/access/sealing.ts";
import type { PayloadRef } from "../../src/core/json/payload-ref.ts";
import { tryDelivery } from "../../src/dispatch/webhook-sender.ts";
import { seal } from "../../src/outbound/credentials.ts";
import { deliveryOf } from "../support/webhooks.ts";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

afterEach(() => vi.restoreAllMocks());

async function deliver(input: PayloadRef) {
  let received: unknown;
  vi.spyOn(globalThis, "fetch").mockImplementation(async (url, init) => {
    const request = new Request(String(url), init as RequestInit);
    received = new Webhook(SECRET).verify(await request.text(), Object.fromEntries(request.headers));
    return new Response(null, { status: 200 });
  });
  const sealedSecret = await seal(SECRET, env.ENCRYPTION_KEY, WEBHOOK_SECRET_PLACE);
  const { result } = await tryDelivery(deliveryOf({ jobId: "j-u1", sealedSecret, input }), env);
  return { result, received };
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
