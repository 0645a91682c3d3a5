// What tenants who share somebody else's endpoint are told of its fleet while they wait.
import { expect, it, vi } from "vitest";
import type { EndpointSettings } from "../../../src/contract/settings.ts";
import { makeBroker, submission } from "../../support/broker.ts";
import { DOLLAR, fleet, useHeldProvider } from "../../support/held-provider.ts";
import { lbRequest } from "../../support/load-balanced.ts";

const SECRET = "the balance of owner@acme.example is $0.03";

const provider = useHeldProvider();

/** A shared endpoint whose provider is not paid any more, so that all who come wait. */
function makePoor(partial: Partial<EndpointSettings> = {}) {
  provider.answers.create = [{ kind: "unpaid", detail: `RunPod answered 402: ${SECRET}.` }];
  return makeBroker({
    upstreams: [],
    shared: true,
    fleet: fleet({ ceilingNanodollarsPerHour: 7 * DOLLAR }),
    ...partial,
  });
}

it("a job of another tenant is told the reason of its wait, and the owner's job the words of the provider, too", async () => {
  const { broker } = await makePoor();
  const [theirs, own] = [submission({ tenantId: "stranger" }), submission()];
  await broker.submit(theirs);
  await broker.submit(own);
  const waitOf = async ({ jobId, tenantId }: typeof own) => {
    const read = await broker.read({ tenantId, jobId, ttlMs: null });
    return read.ok ? read.value.queue : null;
  };
  await vi.waitFor(async () =>
    expect(await waitOf(own)).toMatchObject({ reason: "NO_CAPACITY", detail: expect.stringContaining(SECRET) }),
  );
  expect(await waitOf(theirs)).toMatchObject({
    reason: "NO_CAPACITY",
    detail: "No machine is to be had at the moment.",
  });
});

it("so are the requests of load-balanced endpoints", async () => {
  const { endpointId } = await makePoor({ kind: "load_balancer" });
  const whyOf = async (tenantId: string) => {
    const request = lbRequest(endpointId, { tenantId });
    const entering = request.enter();
    // Whoever leaves the line is told what it has waited for.
    await request.leave(null, "unused");
    const entered = await entering;
    return entered.ok && entered.value.kind === "wait" ? entered.value.why : null;
  };
  await vi.waitFor(async () => expect(await whyOf("owner")).toContain(SECRET));
  expect(await whyOf("stranger")).toBe("No machine is to be had at the moment.");
});
