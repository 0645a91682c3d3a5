// Bills as RunPod's management API shows them (its OpenAPI document 2.0.0): amounts are numbers of USD.
import * as z from "zod";
import { BUCKET_SIZES } from "../../core/manage/billing-window.ts";
import { BILL_RECORDS_MAX } from "../../core/manage/limits.ts";

/** Years of four digits, whatever bucket they are widened to. */
const TIME_MAX_MS = Date.UTC(9_000, 0);

const timeSchema = z.iso
  .datetime({ offset: true, error: "must be a time such as 2026-06-01T00:00:00Z" })
  .transform((text) => Date.parse(text))
  .refine((ms) => ms >= 0 && ms < TIME_MAX_MS, "must be from 1970 on, and before the year 9000")
  .optional();

export const billingQueryShape = {
  startTime: timeSchema.meta({ description: "Widened to the start of its bucket; without it 30 days ago" }),
  endTime: timeSchema.meta({ description: "Exclusive, widened to the end of its bucket; without it now" }),
  bucketSize: z.enum(BUCKET_SIZES).default("day").meta({ description: "Of UTC; a week begins on a Monday" }),
  lastN: z.coerce
    .number()
    .int()
    .min(1)
    .max(BILL_RECORDS_MAX)
    .optional()
    .meta({ description: "So many buckets up to the present one, in place of startTime and endTime" }),
};

const range = { startTime: z.iso.datetime(), endTime: z.iso.datetime() };
const query = { ...range, bucketSize: z.enum(BUCKET_SIZES) };
const count = z.int();

/** The amounts of each route, by RunPod's names. */
export const AMOUNTS = {
  all: [
    "totalAmount",
    "podGpuAmount",
    "podCpuAmount",
    "podDiskAmount",
    "serverlessGpuAmount",
    "serverlessCpuAmount",
    "serverlessDiskAmount",
    "serverlessFeeAmount",
    "storageStandardAmount",
    "storageHighPerformanceAmount",
    "endpointAmount",
    "clusterGpuAmount",
    "clusterDiskAmount",
    "clusterNetworkingAmount",
  ],
  serverless: ["totalAmount", "gpuAmount", "cpuAmount", "diskAmount", "feeAmount"],
  pods: ["totalAmount", "gpuAmount", "cpuAmount", "diskAmount"],
  endpoints: ["totalAmount"],
  networkVolumes: ["totalAmount", "standardAmount", "highPerformanceAmount"],
  clusters: ["totalAmount", "gpuAmount", "diskAmount", "networkingAmount"],
} as const;

function amounts<Name extends string>(names: readonly Name[]) {
  return z.object(Object.fromEntries(names.map((name) => [name, z.number()])) as Record<Name, z.ZodNumber>).shape;
}

/** A route without a filter by id. */
function plainBill<Name extends string>(names: readonly Name[]) {
  const of = amounts(names);
  const metadata = z.object({ query: z.object(query), recordCount: count, totals: z.object(of) });
  return z.object({ records: z.array(z.object({ ...range, ...of })), metadata });
}

/** A route whose records are each about one thing. */
function billOf<Name extends string, Id extends string, Unique extends string>(
  names: readonly Name[],
  id: Id,
  unique: Unique,
) {
  const of = amounts(names);
  const record = z.object({ ...range, ...of, [id]: z.string() });
  const metadata = z.object({
    query: z.object({ ...query, [id]: z.string().nullable() }),
    recordCount: count,
    [unique]: count,
    totals: z.object(of),
  });
  return z.object({ records: z.array(record), metadata });
}

export const BILLS = {
  all: plainBill(AMOUNTS.all),
  serverless: billOf(AMOUNTS.serverless, "serverlessId", "uniqueServerlessCount"),
  pods: billOf(AMOUNTS.pods, "podId", "uniquePodCount"),
  endpoints: plainBill(AMOUNTS.endpoints),
  networkVolumes: billOf(AMOUNTS.networkVolumes, "networkVolumeId", "uniqueNetworkVolumeCount"),
  clusters: billOf(AMOUNTS.clusters, "clusterId", "uniqueClusterCount"),
};
