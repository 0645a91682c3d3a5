// What the broker has of the endpoint of a worker's folder, and whether its key may deploy there. Each refusal comes before anything is built.
import * as z from "zod";
import { endpointSchema, type ShownEndpoint } from "../../contract/manage/endpoint.ts";
import { selfSchema } from "../../contract/manage/key.ts";
import { gpuTypeSchema } from "../../contract/manage/rate.ts";
import { templateSchema } from "../../contract/manage/template.ts";
import { type Api, findAt, part } from "../api.ts";
import { nextCursorOf } from "../commands/show.ts";
import { Failed, WrongUse } from "../wrong-use.ts";
import type { FoundDeploy } from "./deploy-plan.ts";
import { type ProjectSettings, SETTINGS_FILE } from "./settings.ts";

export interface BrokerState extends FoundDeploy {
  /** Whose endpoint it is or becomes. */
  readonly tenantId: string;
  /** The GPU pools of the tier; empty: it has none. */
  readonly tierPools: readonly string[];
}

type Folder = Pick<ProjectSettings, "endpoint" | "type" | "tier">;

export async function readBroker(api: Api, folder: Folder): Promise<BrokerState> {
  const { tenantId } = await checkKey(api);
  const [tierPools, endpoint] = await Promise.all([poolsOf(api, folder.tier), findEndpoint(api, folder, tenantId)]);
  return { tenantId, tierPools, endpoint, template: await findTemplate(api, folder.endpoint, endpoint) };
}

const keySchema = selfSchema.pick({ tenantId: true, scopes: true, endpointIds: true });

/** Templates belong to a tenant as a whole, so a key for some endpoints may not write them. */
async function checkKey(api: Api): Promise<Pick<z.infer<typeof selfSchema>, "tenantId">> {
  const self = checked(keySchema, await api.get("/v1/me"), api);
  const { scopes, endpointIds } = self;
  if (!scopes.includes("manage"))
    throw new Failed("forbidden", `deploy needs a key with the scope manage; yours has ${scopes.join(", ")}`);
  if (endpointIds !== null)
    throw new Failed("forbidden", "deploy needs a key for all of its tenant's endpoints; yours is for some of them");
  return self;
}

const gpuTypesSchema = z.object({ gpuTypes: z.array(gpuTypeSchema.pick({ id: true, runpodPools: true })) });

async function poolsOf(api: Api, tier: string): Promise<string[]> {
  const { gpuTypes } = checked(gpuTypesSchema, await api.get("/v1/gpu-types"), api);
  const found = gpuTypes.find(({ id }) => id === tier);
  if (found !== undefined) return found.runpodPools.map(({ id }) => id);
  const known = gpuTypes.map(({ id }) => id).join(", ");
  throw new WrongUse(`${SETTINGS_FILE} is wrong: tier: there is no tier ${tier}; there are ${known}`);
}

/** Null: there is none of this name that the key may see. One with the scope admin sees those of all tenants. */
async function findEndpoint(
  api: Api,
  { endpoint: slug, type }: Folder,
  tenantId: string,
): Promise<ShownEndpoint | null> {
  const answer = await findAt(api, `/v1/endpoints/${part(slug)}`);
  if (answer === null) return null;
  const found = checked(endpointSchema, answer, api);
  if (found.tenantId !== tenantId)
    throw new WrongUse(
      `the endpoint ${slug} is of the tenant ${found.tenantId}, and your key of ${tenantId}: take a key of that tenant, or another name for endpoint in ${SETTINGS_FILE}`,
    );
  if (found.type !== type)
    throw new WrongUse(
      `the endpoint ${slug} is of the type ${found.type}, which cannot change: ${SETTINGS_FILE} says type ${type}, so it needs another endpoint, or this one deleted before`,
    );
  return found;
}

const templatesSchema = z.object({ templates: z.array(templateSchema) });

/** Of several with the name of the endpoint the one that it has, else the newest. */
async function findTemplate(api: Api, name: string, endpoint: ShownEndpoint | null): Promise<FoundDeploy["template"]> {
  const ids: string[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const answer = await api.get("/v2/templates", { cursor });
    const { templates } = checked(templatesSchema, answer, api);
    ids.push(...templates.filter((each) => each.name === name).map(({ id }) => id));
    cursor = nextCursorOf(answer);
  }
  const id = ids.find((each) => each === endpoint?.templateId) ?? ids[0];
  if (id === undefined) return null;
  const { answer, version } = await api.getVersioned(`/v2/templates/${part(id)}`);
  if (version === null) throw unknownForm(api);
  return { ...checked(templateSchema, answer, api), version };
}

/** An answer in the form that this release knows. */
export function checked<Shape extends z.ZodType>(shape: Shape, answer: unknown, api: Api): z.infer<Shape> {
  const read = shape.safeParse(answer);
  if (read.success) return read.data;
  throw unknownForm(api);
}

function unknownForm({ base }: Api): Failed {
  return new Failed(
    "failed",
    `the broker at ${base} answers in a form that is not known here: it is of another release`,
  );
}
