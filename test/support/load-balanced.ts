// Requests of a load-balanced endpoint as the edge speaks for them to a broker, and workers that answer /ping as told.
import { env } from "cloudflare:workers";
import { vi } from "vitest";
import type { LbOutcome, LbTicket } from "../../src/contract/load-balancer.ts";
import type { ProbedHealth } from "../../src/core/lb/pool.ts";
import { parseAffinity } from "../../src/core/lb/pool.ts";
import { brokerOf } from "../../src/dispatch/broker-client.ts";
import { Prober } from "../../src/dispatch/prober.ts";

/** Every worker answers its probes by this function until the mocks are restored; the ids that were asked, in order. */
export function answerPings(answer: (workerId: string) => Promise<ProbedHealth> | ProbedHealth): string[] {
  const asked: string[] = [];
  vi.spyOn(Prober.prototype, "ping").mockImplementation(async ({ id }) => {
    asked.push(id);
    return answer(id);
  });
  return asked;
}

interface RequestWords {
  readonly requestId?: string;
  readonly tenantId?: string;
  readonly affinity?: string;
  readonly avoidIds?: readonly string[];
  readonly holdMs?: number;
}

/** One request. `enter` may be called again for the next slice of its wait. */
export function lbRequest(endpointId: string, words: RequestWords = {}) {
  const { requestId = crypto.randomUUID(), tenantId = "owner", affinity = "", avoidIds = [], holdMs = 20_000 } = words;
  const parsed = parseAffinity(affinity);
  if (parsed === null) throw new Error(`no affinity: ${affinity}`);
  const call = { tenantId, settingsVersion: 1, requestId, affinity: parsed, avoidIds };
  const enter = (forMs = holdMs) => brokerOf(env, endpointId).enterLb({ ...call, holdMs: forMs });
  return {
    requestId,
    enter,
    /** Enters and must get a slot. */
    ticket: async (): Promise<LbTicket> => {
      const entered = await enter();
      if (!entered.ok) throw new Error(`refused: ${entered.failure.kind}`);
      if (entered.value.kind !== "ticket") throw new Error(`no slot: ${entered.value.kind}`);
      return entered.value.ticket;
    },
    renew: (ticket: LbTicket) => brokerOf(env, endpointId).renewLb(ticket),
    leave: (ticket: LbTicket | null, outcome: LbOutcome = "served") =>
      brokerOf(env, endpointId).leaveLb({ requestId, tenantId, ticket, outcome }),
  };
}
