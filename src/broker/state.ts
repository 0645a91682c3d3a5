// The state of a broker: its platform, its rows, and its memory over them. Each of these keeps itself consistent, and
// none calls a part that decides (parts.ts), so that every such part may use all of them.
import { WorkerRoster } from "../core/scheduling/worker-roster.ts";
import { Endpoint } from "./endpoint.ts";
import { Machines, workerKeyOf } from "./fleet/machines.ts";
import { Egress } from "./jobs/egress.ts";
import { HeldCalls } from "./jobs/held-calls.ts";
import { LiveIndex } from "./jobs/live-index.ts";
import { LongPolls } from "./jobs/long-polls.ts";
import { Sweep } from "./jobs/sweep.ts";
import { LbMark } from "./lb/mark.ts";
import type { Meter } from "./meter.ts";
import type { Platform } from "./platform.ts";
import { ChunkStore } from "./store/chunks.ts";
import { GraceRow } from "./store/grace-row.ts";
import { HoldRows } from "./store/hold-rows.ts";
import { InstanceRows } from "./store/instances.ts";
import { BrokerStore } from "./store/jobs.ts";
import { KeptRows } from "./store/kept-rows.ts";
import { KeyCounts } from "./store/key-counts.ts";
import { ListedRows } from "./store/listed-rows.ts";
import { MeteredSql } from "./store/metered-sql.ts";
import { Purges } from "./store/purges.ts";
import { sumOf } from "./store/stored-bytes.ts";
import { TenantBounds } from "./store/tenant-bounds.ts";
import { TokenCalls } from "./store/token-calls.ts";
import { TroubleRow } from "./store/trouble-row.ts";
import { ActiveHolds } from "./usage/active-holds.ts";
import { UsageOutbox } from "./usage/outbox.ts";
import { DeliveryLog } from "./webhooks/delivery-log.ts";
import { OwedWebhooks } from "./webhooks/owed.ts";
import { ProgressNotes } from "./workers/progress-notes.ts";
import { PullSlots } from "./workers/pull-slots.ts";
import { Stops } from "./workers/stops.ts";

export type BrokerState = ReturnType<typeof makeState>;

export function makeState(platform: Platform, meter: Meter, nowMs: number) {
  const rows = makeRows(new MeteredSql(platform.storage, meter), nowMs);
  return { platform, meter, ...rows, ...makeMemory(platform, rows, nowMs) };
}

/** The tables, each with its statements and what memory keeps of its rows. */
function makeRows(sql: MeteredSql, nowMs: number) {
  const store = new BrokerStore(sql);
  return {
    store,
    chunks: new ChunkStore(sql, nowMs),
    deliveries: new DeliveryLog(sql),
    graceRow: new GraceRow(sql),
    holdRows: new HoldRows(sql),
    instanceRows: new InstanceRows(sql),
    keys: new KeyCounts(sql),
    kept: new KeptRows(sql, (uuid) => sumOf(store.measure(uuid))),
    lbMark: new LbMark(sql),
    listedRows: new ListedRows(sql),
    owedWebhooks: new OwedWebhooks(sql),
    purges: new Purges(sql),
    tenantBounds: new TenantBounds(sql),
    tokenCalls: new TokenCalls(sql),
    troubles: new TroubleRow(sql),
  };
}

/** The memory that each start of the object begins anew. */
function makeMemory(
  platform: Platform,
  { store, kept, holdRows, purges, tenantBounds, instanceRows }: ReturnType<typeof makeRows>,
  nowMs: number,
) {
  const { endpointId } = platform;
  const endpoint = new Endpoint(endpointId, store, nowMs);
  const egress = new Egress();
  const index = new LiveIndex();
  for (const [tenantId, { runningMax }] of tenantBounds.known) index.bound(tenantId, runningMax, nowMs);
  const longPolls = new LongPolls();
  const machines = new Machines(instanceRows, endpointId, nowMs);
  const accountOf = (tenantId: string) => platform.accountOf(tenantId);
  const usageOutbox = new UsageOutbox({ endpointId, store, index, egress, accountOf });
  const activeHolds = new ActiveHolds(
    {
      endpoint,
      store,
      kept,
      holdRows,
      usageOutbox,
      keyOf: (keyId, settings) => workerKeyOf(keyId, settings, machines),
    },
    nowMs,
  );
  const roster = new WorkerRoster((holderId, seenAtMs) => activeHolds.seen(holderId, seenAtMs));
  return {
    activeHolds,
    endpoint,
    egress,
    index,
    longPolls,
    roster,
    machines,
    held: new HeldCalls(),
    progress: new ProgressNotes(),
    pullSlots: new PullSlots({ endpoint, roster, index, longPolls, machines }),
    stops: new Stops({ endpoint, roster, index, longPolls }),
    sweep: new Sweep(store, purges, kept),
    usageOutbox,
  };
}
