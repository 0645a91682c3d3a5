// /v2/billing: what a tenant's usage has cost, summed by time. Everything that is billed here is the GPU of an endpoint's workers, so all
// other amounts are 0 and the bills of pods, volumes, clusters and RunPod's public endpoints are empty.
import * as z from "zod";
import { AMOUNTS, BILLS, billingQueryShape } from "../../contract/manage/billing.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import { type BillingWindow, type BucketSize, billingWindow, shiftBuckets } from "../../core/manage/billing-window.ts";
import { BILL_RECORDS_MAX } from "../../core/manage/limits.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { type BilledBucket, sumByBucket } from "../../db/billing.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const querySchema = z.strictObject(billingQueryShape);
type Query = z.infer<typeof querySchema>;
const idSchema = z.string().min(1).max(200).optional();
const serverlessQuerySchema = z.strictObject({
  ...billingQueryShape,
  serverlessId: idSchema.meta({ description: "Id or slug of the only endpoint" }),
});
type ServerlessQuery = z.infer<typeof serverlessQuerySchema>;

const shared = {
  plane: "v2",
  tag: "Billing",
  method: "GET",
  scopes: ["jobs", "manage"],
  kind: "reads",
} as const;
const NOTHING_HERE = "Always empty: there is nothing of the kind here.";
const LIMITS = `At most ${BILL_RECORDS_MAX} records; buckets without usage have none. Lines reach the record some seconds after a job has ended.`;

/** RunPod's filter by id, the count of ids and the amounts of each bill that is always empty; null: it has no filter. */
const EMPTY_BILLS = [
  ["pods", "pods", { id: "podId", unique: "uniquePodCount" }],
  ["endpoints", "endpoints", null],
  ["network-volumes", "networkVolumes", { id: "networkVolumeId", unique: "uniqueNetworkVolumeCount" }],
  ["clusters", "clusters", { id: "clusterId", unique: "uniqueClusterCount" }],
] as const;

export const BILLING_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    path: "/v2/billing",
    id: "listBilling",
    summary: "Read what everything has cost",
    description: `The sum over all endpoints of each bucket. ${LIMITS}`,
    query: querySchema,
    answers: { 200: { description: "The bill", schema: BILLS.all } },
    handle: billAll,
  }),
  operation({
    ...shared,
    path: "/v2/billing/serverless",
    id: "listServerlessBilling",
    summary: "Read what each endpoint has cost",
    description: `The sum of each endpoint and bucket. ${LIMITS}`,
    query: serverlessQuerySchema,
    answers: { 200: { description: "The bill", schema: BILLS.serverless } },
    handle: billServerless,
  }),
  ...EMPTY_BILLS.map(([path, bill, filter]) =>
    operation({
      ...shared,
      path: `/v2/billing/${path}`,
      id: `list${bill[0]?.toUpperCase()}${bill.slice(1)}Billing`,
      summary: `Read what ${path.replace("-", " ")} have cost`,
      description: NOTHING_HERE,
      query: filter === null ? querySchema : z.strictObject({ ...billingQueryShape, [filter.id]: idSchema }),
      answers: { 200: { description: "The bill", schema: BILLS[bill] } },
      handle: (call) => billNothing(call, bill, filter),
    }),
  ),
];

async function billAll(call: OperationCall<unknown, Query, unknown>): Promise<Result<Reply>> {
  if (call.caller.endpointIds !== null) return fail({ kind: "restricted_key" });
  const found = await readBill(call, null, false);
  if (!found.ok) return found;
  const { window, size, buckets } = found.value;
  const zero = zeroes(AMOUNTS.all);
  const show = (dollars: number) => ({ ...zero, totalAmount: dollars, serverlessGpuAmount: dollars });
  const records = buckets.map((bucket) => ({ ...rangeOf(bucket, size), ...show(toDollars(bucket.nanodollars)) }));
  const query = { ...showWindow(window), bucketSize: size };
  return ok({
    status: 200,
    body: { records, metadata: { query, recordCount: records.length, totals: show(totalOf(buckets)) } },
  });
}

async function billServerless(call: OperationCall<unknown, ServerlessQuery, unknown>): Promise<Result<Reply>> {
  const { serverlessId = null } = call.query;
  const found = await readBill(call, serverlessId, true);
  if (!found.ok) return found;
  const { window, size, buckets } = found.value;
  const zero = zeroes(AMOUNTS.serverless);
  const show = (dollars: number) => ({ ...zero, totalAmount: dollars, gpuAmount: dollars });
  const records = buckets.map((bucket) => ({
    ...rangeOf(bucket, size),
    ...show(toDollars(bucket.nanodollars)),
    serverlessId: bucket.endpointId,
  }));
  const metadata = {
    query: { ...showWindow(window), bucketSize: size, serverlessId },
    recordCount: records.length,
    uniqueServerlessCount: new Set(buckets.map(({ endpointId }) => endpointId)).size,
    totals: show(totalOf(buckets)),
  };
  return ok({ status: 200, body: { records, metadata } });
}

async function billNothing(
  { query, nowMs }: OperationCall<unknown, Query & Readonly<Record<string, unknown>>, unknown>,
  bill: (typeof EMPTY_BILLS)[number][1],
  filter: (typeof EMPTY_BILLS)[number][2],
): Promise<Result<Reply>> {
  const window = readWindow(query, nowMs);
  if (!window.ok) return window;
  const id = filter === null ? {} : { [filter.id]: query[filter.id] ?? null };
  const metadata = {
    query: { ...showWindow(window.value), bucketSize: query.bucketSize, ...id },
    recordCount: 0,
    ...(filter === null ? {} : { [filter.unique]: 0 }),
    totals: zeroes(AMOUNTS[bill]),
  };
  return ok({ status: 200, body: { records: [], metadata } });
}

interface Bill {
  readonly window: BillingWindow;
  readonly size: BucketSize;
  readonly buckets: readonly BilledBucket[];
}

async function readBill(
  { env, caller, query, nowMs }: OperationCall<unknown, Query, unknown>,
  endpoint: string | null,
  byEndpoint: boolean,
): Promise<Result<Bill>> {
  const window = readWindow(query, nowMs);
  if (!window.ok) return window;
  const size = query.bucketSize;
  const filter = { ...window.value, size, byEndpoint, endpoint, only: caller.endpointIds, limit: BILL_RECORDS_MAX + 1 };
  const found = await askD1(() => sumByBucket(env.DB, caller.tenantId, filter));
  if (!found.ok) return found;
  if (found.value.length <= BILL_RECORDS_MAX) return ok({ window: window.value, size, buckets: found.value });
  const message = `would make over ${BILL_RECORDS_MAX} records: ask for a shorter time, larger buckets or one endpoint`;
  return fail({ kind: "invalid", field: "?bucketSize", message });
}

function readWindow({ startTime, endTime, lastN, bucketSize }: Query, nowMs: number): Result<BillingWindow> {
  if (lastN !== undefined && (startTime !== undefined || endTime !== undefined)) {
    return fail({ kind: "invalid", field: "?lastN", message: "excludes ?startTime and ?endTime" });
  }
  const window = billingWindow({ startMs: startTime, endMs: endTime, lastN, size: bucketSize }, nowMs);
  const isReversed = startTime !== undefined && endTime !== undefined && startTime >= endTime;
  if (!isReversed && window.startMs < window.endMs) return ok(window);
  return fail({ kind: "invalid", field: "?endTime", message: "must be later than ?startTime" });
}

function rangeOf({ startMs }: BilledBucket, size: BucketSize) {
  return showWindow({ startMs, endMs: shiftBuckets(startMs, size, 1) });
}

function showWindow({ startMs, endMs }: BillingWindow) {
  return { startTime: toTimeText(startMs), endTime: toTimeText(endMs) };
}

function zeroes(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, 0]));
}

function totalOf(buckets: readonly BilledBucket[]): number {
  return toDollars(buckets.reduce((sum, { nanodollars }) => sum + nanodollars, 0));
}

/** RunPod's amounts are numbers; the exact ones stand in /v1/usage. */
function toDollars(nanodollars: number): number {
  return nanodollars / 1e9;
}
