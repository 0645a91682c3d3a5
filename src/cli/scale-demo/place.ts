// The provider and the endpoint of the scale demo, made anew for each run as the broker and its state are (start.ts).
import { fieldsOf, textOf } from "../../core/json/value.ts";
import { type Api, part } from "../api.ts";
import { rowsOf } from "../commands/show.ts";
import { type DemoAgent, IMAGE } from "./agent-process.ts";

const NAME = "scale demo";
const GPU_TYPE = "NVIDIA RTX A4000";
/** Of the tier a4000, whose price every new deployment has. */
const POOL = "AMPERE_16";

export interface DemoPlace {
  readonly endpointId: string;
}

export async function makePlace(api: Api, tenantId: string, agent: DemoAgent, workersMax: number): Promise<DemoPlace> {
  const provider = await api.send("POST", "/v1/providers", {
    tenantId,
    name: NAME,
    kind: "local",
    url: agent.url,
    credential: agent.secret,
    offers: [{ gpuTypeId: GPU_TYPE, pricePerHour: "0.10" }],
  });
  const providerId = textOf(provider, "id");
  const endpoint = await api.send("POST", "/v1/endpoints", {
    tenantId,
    slug: `scale-demo-${providerId.slice(-8)}`,
    image: IMAGE,
    gpu: { pools: [POOL] },
    providers: [providerId],
    workers: { min: 0, max: workersMax },
    scaling: { type: "REQUEST_COUNT", requestCount: 1 },
    // A stopped machine would be kept for an hour, and the demo ends when all are gone.
    flashboot: "OFF",
  });
  return { endpointId: textOf(endpoint, "id") };
}

/** What one look at the endpoint shows. */
export interface Look {
  readonly waiting: number;
  readonly running: number;
  /** Machines by phase. */
  readonly phases: ReadonlyMap<string, number>;
  readonly machines: readonly Machine[];
  /** The newest decision of the scaler, in words; "": there was none. */
  readonly reason: string;
}

interface Machine {
  readonly id: string;
  readonly phase: string;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly readyAt: number | null;
}

export async function lookAt(api: Api, { endpointId }: DemoPlace): Promise<Look> {
  const path = `/v1/endpoints/${part(endpointId)}`;
  const [health, workers, scaling] = await Promise.all([
    api.get(`/v2/${part(endpointId)}/health`),
    api.get(`${path}/workers`),
    api.get(`${path}/scaling`, { limit: 1 }),
  ]);
  const machines = rowsOf(workers, "workers").flatMap((row) => toMachine(row) ?? []);
  const phases = new Map<string, number>();
  for (const { phase } of machines) phases.set(phase, (phases.get(phase) ?? 0) + 1);
  const jobs = fieldsOf(health.jobs);
  const [newest] = rowsOf(scaling, "decisions");
  return {
    waiting: Number(jobs?.inQueue ?? 0),
    running: Number(jobs?.inProgress ?? 0),
    phases,
    machines,
    reason: newest === undefined ? "" : `${newest.from} → ${newest.to} ${newest.reason}`,
  };
}

function toMachine(row: unknown): Machine | null {
  const machine = fieldsOf(fieldsOf(row)?.machine);
  if (machine === null) return null;
  const time = (value: unknown) => (typeof value === "number" ? value : null);
  return {
    id: textOf(row, "id"),
    phase: textOf(machine, "phase"),
    startedAt: Number(machine.startedAt),
    answeredAt: time(machine.answeredAt),
    readyAt: time(machine.readyAt),
  };
}
