// Brings every line of the bill that a broker and an account owe to D1.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import { stateOf } from "../../support/quiet.ts";

/** Lines that no account has, in rows of their own and in those of jobs. */
const OWED_LINES = `SELECT (SELECT count(*) FROM owed) + (SELECT count(*) FROM jobs WHERE finish_seq >
  coalesce((SELECT through FROM posted WHERE posted.tenant_id = jobs.tenant_id), 0)) AS count`;

/** Under fake timers of `Date`: lets alarms ring until the broker owes no line, and the account keeps none. */
export async function postLines(endpointId: string, tenantId: string): Promise<void> {
  const account = env.TENANT_ACCOUNT.getByName(tenantId);
  await vi.waitFor(
    async () => {
      vi.setSystemTime(Date.now() + 2_000);
      await runDurableObjectAlarm(env.ENDPOINT_BROKER.getByName(endpointId));
      await runDurableObjectAlarm(account);
      const { count: owed } = await stateOf(endpointId, ({ storage }) => storage.sql.exec(OWED_LINES).one());
      const { kept } = await runInDurableObject(account, (_, { storage }) =>
        storage.sql.exec("SELECT count(*) AS kept FROM batches").one(),
      );
      expect({ owed, kept }).toEqual({ owed: 0, kept: 0 });
    },
    { timeout: 8_000, interval: 10 },
  );
}
