// What a deploy of a worker's folder does at the broker: of what the folder asks for and of what there is, which template and endpoint are
// made or changed, and by which requests. It is planned, shown and confirmed before anything happens.
import type { ShownEndpoint } from "../../contract/manage/endpoint.ts";
import { envSchema, fleetSchema } from "../../contract/manage/fleet.ts";
import { createTemplateSchema, type ShownTemplate } from "../../contract/manage/template.ts";
import type { Fields } from "../../core/json/value.ts";
import { POLICY_MAX_MS } from "../../core/limits.ts";
import { endpointProblem } from "../../core/manage/endpoint-rules.ts";
import { patchGpu } from "../../core/manage/fleet-change.ts";
import type { SettingProblem } from "../../core/manage/fleet-rules.ts";
import { givenOf } from "../../core/manage/given.ts";
import { INFERENCE } from "../../core/openai/routes.ts";
import { type Compared, compare, containerOf, factsOf } from "./deploy-facts.ts";
import type { ProjectSettings } from "./settings.ts";

/** What the folder asks for. */
export interface WantedDeploy {
  readonly settings: ProjectSettings;
  /** With its tag. */
  readonly image: string;
  /** That of the worker; null: it takes any input. A load-balanced one has no input. */
  readonly inputSchema: Fields | null;
  /** The GPU pools of the tier; null: the endpoint has its own, or the tier has none. */
  readonly pools: readonly string[] | null;
}

/** What the broker has by the name that the folder gives to its endpoint. */
export interface FoundDeploy {
  readonly endpoint: ShownEndpoint | null;
  readonly template: (ShownTemplate & { readonly version: number }) | null;
}

/** A template or endpoint: what becomes of it, and the request that does it. */
export interface PlannedThing extends Compared {
  /** Null: it is made. */
  readonly now: { readonly id: string; readonly version: number } | null;
  readonly body: Fields;
}

export interface DeployPlan {
  /** Of endpoint and template. */
  readonly name: string;
  readonly type: ProjectSettings["type"];
  readonly image: string;
  readonly template: PlannedThing;
  /** Its body lacks the id of the template, which may have to be made first. */
  readonly endpoint: PlannedThing;
}

/** `problem.field`: as the broker names it. */
export type Planned =
  | { readonly ok: true; readonly plan: DeployPlan }
  | { readonly ok: false; readonly problem: SettingProblem };

/**
 * Plans a deploy. What waybill.json does not name stays as it is: a template that is applied would set it, so the request for the endpoint
 * names all that a template has.
 */
export function planDeploy(wanted: WantedDeploy, found: FoundDeploy): Planned {
  const { name, template, after } = planTemplate(wanted, found);
  const gpu = chooseGpu(wanted, found.endpoint, after.allowedCudaVersions);
  const endpoint = planEndpoint(wanted, found, after, gpu);
  const problem = envProblem(after.env) ?? envProblem(endpoint.env) ?? ruleProblem(wanted, found.endpoint, gpu);
  if (problem !== null) return { ok: false, problem };
  const { type } = wanted.settings;
  return { ok: true, plan: { name, type, image: wanted.image, template, endpoint: endpoint.planned } };
}

type TemplateAfter = Pick<ShownTemplate, "args" | "disk" | "ports" | "registry" | "allowedCudaVersions"> & {
  /** Null: it is known when the template is made. */
  readonly id: string | null;
  readonly env: Readonly<Record<string, string>>;
};

function planTemplate({ settings: file, image }: WantedDeploy, { endpoint, template: now }: FoundDeploy) {
  const name = file.endpoint;
  const named = givenOf({ image, ...containerOf(file.settings) });
  const env = { ...now?.env, ...file.env };
  // A new template is begun as the endpoint is, so that the two do not differ in what the file leaves open.
  const begun = now === null && endpoint !== null ? givenOf(containerOf(endpoint)) : {};
  const request = { ...begun, ...named, serverless: true };
  const settings = now === null ? createTemplateSchema.parse({ ...request, name }) : { ...now, ...request };
  const { args = "", disk, ports = [], registry = null, allowedCudaVersions } = settings;
  const after: TemplateAfter = { id: now?.id ?? null, args, disk, ports, registry, allowedCudaVersions, env };
  const compared = compare({
    before: now === null ? null : factsOf(now),
    after: factsOf({ image, ...containerOf(settings), ...(now === null ? {} : { serverless: true }) }),
    envBefore: now?.env ?? {},
    envAfter: env,
    named: factsOf(named),
  });
  const body = { ...(now === null ? { name } : {}), ...request, env };
  const template: PlannedThing = { ...compared, now, body };
  return { name, template, after };
}

/** What stands for the id of a template that is made with this deploy. */
const NEW_TEMPLATE = "(the new one)";

function planEndpoint(wanted: WantedDeploy, { endpoint: now }: FoundDeploy, template: TemplateAfter, gpu: ChosenGpu) {
  const { settings: file, image, inputSchema } = wanted;
  const { gpu: _, ...settings } = file.settings;
  const container = { image, ...containerAfter(settings, now, template) };
  const ofJobs = file.type === "QUEUE" ? { inputSchema } : {};
  const env = { ...now?.env, ...file.env };
  const body = {
    ...(now === null ? { slug: file.endpoint, type: file.type } : {}),
    ...(now === null ? withoutNulls(settings) : settings),
    ...container,
    ...(gpu === null ? {} : { gpu: gpu.request }),
    ...ofJobs,
    env,
  };
  const chosen = gpu === null ? {} : { gpu: { excludedTypes: null, ...gpu.after } };
  const after = { ...container, ...asShown(settings), ...chosen, ...ofJobs, templateId: template.id ?? NEW_TEMPLATE };
  const envAfter = { ...template.env, ...env };
  const compared = compare({
    before: now === null ? null : factsOf({ ...now, cpu: now.cpu?.map(({ id, vcpuCount }) => ({ id, vcpuCount })) }),
    after: factsOf(after),
    envBefore: now?.env ?? {},
    envAfter,
    named: factsOf({ image, ...settings, gpu: namedGpu(wanted), ...(inputSchema === null ? {} : ofJobs) }),
  });
  const planned: PlannedThing = { ...compared, now, body };
  return { planned, env: envAfter };
}

/** What the file leaves open is as the endpoint has it, and else as its template has it. */
function containerAfter(
  named: Partial<ReturnType<typeof containerOf>>,
  now: ShownEndpoint | null,
  template: TemplateAfter,
) {
  return {
    args: named.args ?? now?.args ?? template.args,
    disk: named.disk ?? now?.disk ?? template.disk,
    ports: named.ports ?? now?.ports ?? template.ports,
    registry: named.registry === undefined ? (now?.registry ?? template.registry) : named.registry,
  };
}

/** A setting of null takes one away, which a new endpoint has not. */
function withoutNulls(settings: Fields): Fields {
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== null));
}

/** The longest time that there is has two names, and the broker shows the shorter one. */
function asShown<Settings extends { readonly timeout?: number | undefined }>(settings: Settings): Settings {
  const { timeout } = settings;
  return timeout !== undefined && timeout >= POLICY_MAX_MS ? { ...settings, timeout: 0 } : settings;
}

/** Null: the endpoint has none. */
type ChosenGpu = { readonly request: Fields; readonly after: ReturnType<typeof patchGpu> } | null;

/**
 * The GPU that an endpoint gets. Its CUDA versions are named, as an applied template would else set them. Pools that it has already are not, as
 * naming them anew would take its exclusions away.
 */
function chooseGpu(wanted: WantedDeploy, now: ShownEndpoint | null, cudaOfTemplate: string[]): ChosenGpu {
  const { gpu: named, cpu } = wanted.settings.settings;
  const was = now?.gpu ?? null;
  const { pools } = namedGpu(wanted);
  const isOnCpu = cpu !== undefined || now?.cpu !== undefined;
  if (named === undefined && (isOnCpu || (pools === undefined && was === null))) return null;
  const hasPools = JSON.stringify(pools) === JSON.stringify(was?.pools) && named?.excludedTypes === undefined;
  // One that has no GPU yet has no least version that could be cleared.
  const minCudaVersion = was === null && named?.minCudaVersion === "" ? undefined : named?.minCudaVersion;
  const namesCuda = named?.allowedCudaVersions !== undefined || minCudaVersion !== undefined;
  const request = givenOf({
    ...named,
    pools: hasPools ? undefined : pools,
    allowedCudaVersions: namesCuda ? named?.allowedCudaVersions : (was?.allowedCudaVersions ?? cudaOfTemplate),
    minCudaVersion,
  });
  return { request, after: patchGpu(was, request) };
}

/** What the file says of the GPU, by its tier or by pools of its own. */
function namedGpu({ settings: { settings }, pools }: WantedDeploy) {
  const ofTier = settings.cpu === undefined && pools !== null ? [...pools] : undefined;
  return { ...settings.gpu, pools: settings.gpu?.pools ?? ofTier };
}

function envProblem(env: Readonly<Record<string, string>>): SettingProblem | null {
  const checked = envSchema.safeParse(env);
  if (checked.success) return null;
  const message = checked.error.issues[0]?.message ?? "";
  return { field: "env", message: `with the variables that the broker has already it ${message}` };
}

/** The broker goes by the same rules, and would refuse the settings when the image is built. */
function ruleProblem(
  { settings: file, inputSchema }: WantedDeploy,
  now: ShownEndpoint | null,
  gpu: ChosenGpu,
): SettingProblem | null {
  const { settings: named, type } = file;
  const unnamed = now ?? fleetSchema.parse(type === "LOAD_BALANCER" ? { scaling: BY_REQUESTS } : {});
  const facts = {
    id: now?.id ?? null,
    // The slug of one that is there was taken when it got it.
    slug: now?.id ?? file.endpoint,
    kind: type === "QUEUE" ? "queue" : "load_balancer",
    fleet: {
      scaling: named.scaling ?? unnamed.scaling,
      workers: {
        min: named.workers?.min ?? unnamed.workers.min,
        max: named.workers?.max ?? unnamed.workers.max,
        // That of the endpoint may be only shown, as the default, and not set.
        idleTimeout: named.workers?.idleTimeout,
      },
      gpu: gpu?.after ?? now?.gpu ?? null,
      cpu: named.cpu ?? now?.cpu ?? null,
    },
    openaiRoutes: named.inferenceRoutes ?? now?.inferenceRoutes ?? INFERENCE,
    shared: (named.visibility ?? now?.visibility) === "PUBLIC",
    inputSchema: inputSchema === null ? null : JSON.stringify(inputSchema),
  } as const;
  return endpointProblem(facts, false);
}

const BY_REQUESTS = { type: "REQUEST_COUNT", requestCount: 1 } as const;
