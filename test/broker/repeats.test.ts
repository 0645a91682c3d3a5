// The edge repeats a submit whose answer was lost: the second one must change nothing.
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { brokerOf } from "../../src/dispatch/keeper.ts";
import { makeBroker, submission } from "../support/broker.ts";

it("a submit that is repeated after a purge does not bring the job back into the count", async () => {
  const { endpointId } = await makeBroker({ upstreams: [] });
  const call = submission();
  await brokerOf(env, endpointId).submit(call);
  await brokerOf(env, endpointId).purgeQueue({ tenantId: "owner" });
  const again = await brokerOf(env, endpointId).submit(call);
  expect(again).toMatchObject({ ok: true, value: { job: { status: "CANCELLED" } } });
  expect(await brokerOf(env, endpointId).depth({ tenantId: "owner" })).toEqual({ waiting: 0, running: 0 });
});
