// Which texts are secrets of Standard Webhooks.
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { isWebhookSecret, makeWebhookSecret, WEBHOOK_SECRET_BYTES } from "../../../src/core/access/webhook-secret.ts";

const ofBytes = (count: number): string => `whsec_${btoa("s".repeat(count))}`;

describe("a webhook secret", () => {
  it("is what is made here, and what has 24 to 64 bytes", () => {
    const good = [
      makeWebhookSecret(new Uint8Array(WEBHOOK_SECRET_BYTES).fill(255)),
      ...[24, 25, 26, 63, 64].map(ofBytes),
    ];
    for (const secret of good) {
      expect(isWebhookSecret(secret), secret).toBe(true);
      expect(() => new Webhook(secret)).not.toThrow();
    }
  });

  it.each([
    ["nothing", ""],
    ["no prefix", btoa("s".repeat(32))],
    ["another prefix", `sk-${btoa("s".repeat(32))}`],
    ["too few bytes", ofBytes(23)],
    ["too many bytes", ofBytes(65)],
    ["no base64", `whsec_${"*".repeat(44)}`],
    ["base64 that is cut", ofBytes(32).slice(0, -1)],
    ["more behind it", `${ofBytes(32)} `],
  ])("is none with %s", (_, text) => {
    expect(isWebhookSecret(text)).toBe(false);
  });
});
