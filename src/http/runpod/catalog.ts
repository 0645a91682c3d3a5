// /v2/catalog: the GPU types, CPU flavors and places that RunPod's clients choose from. There is no stock of machines here: a type is
// available (HIGH) for endpoints where a tier has a price for it, because then a worker of it can be added, and never for pods.
import * as z from "zod";
import {
  type Availability,
  type CpuQuery,
  cpuQuerySchema,
  cpuTypeSchema,
  type DataCentersQuery,
  dataCenterQuerySchema,
  dataCenterSchema,
  dataCentersQuerySchema,
  type GpuQuery,
  gpuQuerySchema,
  gpuTypeSchema,
  type ShownGpuType,
} from "../../contract/manage/catalogue.ts";
import { fail, ok, type Result } from "../../core/failure.ts";
import {
  CPU_FLAVORS,
  type CpuFlavor,
  DATA_CENTER,
  dollarsPerHour,
  findGpuType,
  GPU_TYPES,
  type GpuType,
} from "../../core/manage/catalogue.ts";
import { askD1 } from "../../db/ask-d1.ts";
import { findFlexRates } from "../../db/rates.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import type { Route } from "../kit/route.ts";

const shared = {
  plane: "v2",
  tag: "Catalog",
  method: "GET",
  scopes: ["jobs", "manage"],
  kind: "reads",
} as const;
const gpuParams = z.object({ id: z.string().meta({ description: "Id of a GPU type, or of a pool" }) });
const cpuParams = z.object({ id: z.string().meta({ description: "Id of a CPU flavor" }) });
const dataCenterParams = z.object({ id: z.string().meta({ description: "Id of a data center" }) });

export const CATALOG_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    path: "/v2/catalog/gpus",
    id: "listGpuTypes",
    summary: "List GPU types",
    description:
      "`include=AVAILABILITY` and `product` need each other. HIGH for SERVERLESS: you can add a worker of it.",
    query: gpuQuerySchema,
    answers: { 200: { description: "The GPU types", schema: z.object({ gpus: z.array(gpuTypeSchema) }) } },
    handle: listGpus,
  }),
  operation({
    ...shared,
    path: "/v2/catalog/gpus/:id",
    id: "getGpuType",
    summary: "Read a GPU type",
    description: "The id of a pool stands for the pool's first type.",
    params: gpuParams,
    query: gpuQuerySchema,
    answers: { 200: { description: "The GPU type", schema: gpuTypeSchema } },
    handle: readGpu,
  }),
  operation({
    ...shared,
    path: "/v2/catalog/cpus",
    id: "listCpuTypes",
    summary: "List CPU flavors",
    description: "Never available: no tier has a price for a CPU. An endpoint may name one all the same.",
    query: cpuQuerySchema,
    answers: { 200: { description: "The CPU flavors", schema: z.object({ cpus: z.array(cpuTypeSchema) }) } },
    handle: listCpus,
  }),
  operation({
    ...shared,
    path: "/v2/catalog/cpus/:id",
    id: "getCpuType",
    summary: "Read a CPU flavor",
    description: "`include=AVAILABILITY` and `product` need each other.",
    params: cpuParams,
    query: cpuQuerySchema,
    answers: { 200: { description: "The CPU flavor", schema: cpuTypeSchema } },
    handle: readCpu,
  }),
  operation({
    ...shared,
    path: "/v2/catalog/datacenters",
    id: "listDataCenters",
    summary: "List data centers",
    description: "One: wherever your own machines stand.",
    query: dataCentersQuerySchema,
    answers: {
      200: { description: "The data centers", schema: z.object({ dataCenters: z.array(dataCenterSchema) }) },
    },
    handle: listDataCenters,
  }),
  operation({
    ...shared,
    path: "/v2/catalog/datacenters/:id",
    id: "getDataCenter",
    summary: "Read a data center",
    description: "Availability is shown where `include` asks for it.",
    params: dataCenterParams,
    query: dataCenterQuerySchema,
    answers: { 200: { description: "The data center", schema: dataCenterSchema } },
    handle: readDataCenter,
  }),
];

const UNKNOWN = { kind: "not_found", what: "catalogue entry" } as const;

async function listGpus({ env, query, nowMs }: OperationCall<unknown, GpuQuery, unknown>): Promise<Result<Reply>> {
  const checked = checkGpuQuery(query);
  if (!checked.ok) return checked;
  // No country is known of the operator's machines, so none of them stands in one that is named.
  const listed = query.countryCodes === undefined ? GPU_TYPES : [];
  const rates = await askD1(() => findFlexRates(env.DB, nowMs));
  if (!rates.ok) return rates;
  return ok({ status: 200, body: { gpus: listed.map((type) => showGpu(type, query, rates.value)) } });
}

async function readGpu({
  env,
  params,
  query,
  nowMs,
}: OperationCall<z.infer<typeof gpuParams>, GpuQuery, unknown>): Promise<Result<Reply>> {
  const checked = checkGpuQuery(query);
  if (!checked.ok) return checked;
  const type = findGpuType(params.id);
  if (type === null) return fail(UNKNOWN);
  const rates = await askD1(() => findFlexRates(env.DB, nowMs));
  return rates.ok ? ok({ status: 200, body: showGpu(type, query, rates.value) }) : rates;
}

function checkGpuQuery(query: GpuQuery): Result<null> {
  const { include, product, cudaVersions, minCudaVersion, ...filters } = query;
  if (cudaVersions !== undefined && minCudaVersion !== undefined) {
    return wrong("minCudaVersion", "excludes ?cudaVersions: send one of the two");
  }
  return checkInclude(include, product, { ...filters, cudaVersions, minCudaVersion });
}

/** Availability differs by product, so neither is asked for without the other; filters of it are without effect elsewhere. */
function checkInclude(include: unknown, product: unknown, filters: Readonly<Record<string, unknown>>): Result<null> {
  if (include !== undefined && product === undefined) return wrong("product", "is required with include=AVAILABILITY");
  if (include === undefined && product !== undefined)
    return wrong("product", "is valid only with include=AVAILABILITY");
  if (include !== undefined) return ok(null);
  const idle = Object.entries(filters).find(([, value]) => value !== undefined);
  return idle === undefined ? ok(null) : wrong(idle[0], "is valid only with include=AVAILABILITY");
}

function wrong(name: string, message: string): Result<never> {
  return fail({ kind: "invalid", field: `?${name}`, message });
}

function showGpu(type: GpuType, query: GpuQuery, rates: ReadonlyMap<string, number>): ShownGpuType {
  const { id, name, pool, memoryGb, tier } = type;
  const rate = tier === null ? undefined : rates.get(tier);
  const isOffered = query.product?.includes("SERVERLESS") === true && query.countryCodes === undefined;
  return {
    id,
    name,
    pool,
    manufacturer: "NVIDIA",
    memory: memoryGb,
    secure: false,
    community: false,
    price: { secure: 0, community: 0, ...(rate === undefined ? {} : { serverless: dollarsPerHour(rate) }) },
    maxCount: { secure: 0, community: 0 },
    ...(query.include === undefined ? {} : stockOf(isOffered ? availabilityOf(type) : "NONE")),
  };
}

function availabilityOf({ tier }: GpuType): Availability {
  return tier === null ? "NONE" : "HIGH";
}

/** A type that is available nowhere has no list of places. */
function stockOf(availability: Availability) {
  return availability === "NONE" ? { availability } : { availability, dataCenters: [{ ...DATA_CENTER, availability }] };
}

async function listCpus({ query }: OperationCall<unknown, CpuQuery, unknown>): Promise<Result<Reply>> {
  const checked = checkInclude(query.include, query.product, { vcpuCount: query.vcpuCount });
  if (!checked.ok) return checked;
  return ok({ status: 200, body: { cpus: CPU_FLAVORS.map((flavor) => showCpu(flavor, query)) } });
}

async function readCpu({
  params,
  query,
}: OperationCall<z.infer<typeof cpuParams>, CpuQuery, unknown>): Promise<Result<Reply>> {
  const checked = checkInclude(query.include, query.product, { vcpuCount: query.vcpuCount });
  if (!checked.ok) return checked;
  const flavor = CPU_FLAVORS.find(({ id }) => id === params.id);
  return flavor === undefined ? fail(UNKNOWN) : ok({ status: 200, body: showCpu(flavor, query) });
}

function showCpu(flavor: CpuFlavor, { include }: CpuQuery): z.infer<typeof cpuTypeSchema> {
  return {
    ...flavor,
    vcpu: { min: 2, max: 32 },
    price: { securePerVcpu: 0, serverlessPerVcpu: 0 },
    ...(include === undefined ? {} : stockOf("NONE")),
  };
}

async function listDataCenters({ query }: OperationCall<unknown, DataCentersQuery, unknown>): Promise<Result<Reply>> {
  const { regions, networkVolumeTypes, compliance, globalNetwork, include } = query;
  const isIn = regions === undefined || regions.includes("UNKNOWN");
  const hasAll = networkVolumeTypes === undefined && compliance === undefined && globalNetwork !== "true";
  return ok({ status: 200, body: { dataCenters: isIn && hasAll ? [showDataCenter(include)] : [] } });
}

async function readDataCenter({
  params,
  query,
}: OperationCall<z.infer<typeof dataCenterParams>, z.infer<typeof dataCenterQuerySchema>, unknown>): Promise<
  Result<Reply>
> {
  if (params.id !== DATA_CENTER.id) return fail(UNKNOWN);
  return ok({ status: 200, body: showDataCenter(query.include) });
}

function showDataCenter(include: DataCentersQuery["include"] = []): z.infer<typeof dataCenterSchema> {
  const gpus = GPU_TYPES.filter((type) => availabilityOf(type) !== "NONE");
  return {
    ...DATA_CENTER,
    region: "UNKNOWN",
    globalNetwork: false,
    networkVolumeTypes: [],
    compliance: [],
    ...(include.includes("GPU_AVAILABILITY")
      ? { gpuAvailability: gpus.map(({ id, name }) => ({ id, name, availability: "HIGH" as const })) }
      : {}),
  };
}
