// `saveTemplate`: makes a template, or changes the one whose id is given, as RunPod's Python package 1.12 calls it.
import * as z from "zod";
import { createTemplateSchema, type ManagedTemplate } from "../../contract/manage/template.ts";
import { ok, type Result } from "../../core/failure.ts";
import { givenOf } from "../../core/manage/given.ts";
import type { ManageContext } from "../../manage/context.ts";
import { changeTemplate, createTemplate, openTemplateEnv, readTemplate } from "../../manage/templates.ts";
import { checkValue } from "../kit/checked.ts";
import { isGiven, type Resolved, splitText } from "./call.ts";

const MOUNT_PATH = "/workspace";
const text = z.string().nullable().optional();

/** The names of RunPod's GraphQL; the values are checked under those of its REST API. */
const inputSchema = z.strictObject({
  id: text,
  name: z.string(),
  imageName: z.string(),
  dockerArgs: text,
  containerDiskInGb: z.number().optional(),
  volumeInGb: z.number().default(0),
  volumeMountPath: text,
  ports: text,
  env: z.array(z.strictObject({ key: z.string(), value: z.string() })).default([]),
  isServerless: z.boolean().default(false),
  isPublic: z.boolean().default(false),
  startSsh: z.boolean().optional(),
  startJupyter: z.boolean().optional(),
  containerRegistryAuthId: text,
  category: z.string().optional(),
  readme: text,
});
const argsSchema = z.strictObject({ input: inputSchema });

export async function saveTemplate(context: ManageContext, args: unknown): Promise<Resolved> {
  const checked = checkValue(argsSchema, args, "body");
  if (!checked.ok) return checked;
  const { input } = checked.value;
  const wanted = checkValue(createTemplateSchema, toBody(input), "body");
  if (!wanted.ok) return wanted;
  const { id } = input;
  const saved = isGiven(id) ? await change(context, id, wanted.value) : await make(context, wanted.value);
  return saved.ok ? ok(await show(context.env, saved.value)) : saved;
}

type Wanted = z.infer<typeof createTemplateSchema>;

async function make(context: ManageContext, wanted: Wanted): Promise<Result<ManagedTemplate>> {
  const made = await createTemplate(context, wanted);
  return made.ok ? readTemplate(context.env, context.caller.tenantId, made.value.id) : made;
}

/** RunPod's `saveTemplate` resets what is left out, so that the whole template is given each time. */
async function change(context: ManageContext, id: string, wanted: Wanted): Promise<Result<ManagedTemplate>> {
  const { args = "", ports = [], registry = null, env = {}, ...rest } = wanted;
  return changeTemplate(context, id, { ...rest, args, ports, registry, env });
}

/** Members that are undefined are left out: a checked body has none. */
function toBody(input: z.infer<typeof inputSchema>): object {
  const { containerRegistryAuthId: registry, volumeInGb: size, volumeMountPath: path } = input;
  const body = {
    name: input.name,
    image: input.imageName,
    args: input.dockerArgs ?? "",
    disk: input.containerDiskInGb,
    ports: splitText(input.ports),
    env: Object.fromEntries(input.env.map(({ key, value }) => [key, value])),
    registry: registry === "" ? null : (registry ?? null),
    mounts: size === 0 ? {} : { persistent: { size, path: path ?? MOUNT_PATH } },
    serverless: input.isServerless,
    public: input.isPublic,
    startSsh: input.startSsh,
    startJupyter: input.startJupyter,
    category: input.category,
  };
  return givenOf(body);
}

async function show(env: Env, template: ManagedTemplate) {
  const { id, name, settings } = template;
  const { persistent } = settings.mounts;
  const variables = await openTemplateEnv(env, template);
  return {
    id,
    name,
    imageName: settings.image,
    dockerArgs: settings.args,
    containerDiskInGb: settings.disk,
    volumeInGb: persistent?.size ?? 0,
    volumeMountPath: persistent?.path ?? null,
    ports: settings.ports.join(","),
    env: Object.entries(variables).map(([key, value]) => ({ key, value })),
    isServerless: settings.serverless,
    isPublic: settings.public,
    startSsh: settings.startSsh,
    startJupyter: settings.startJupyter,
    containerRegistryAuthId: settings.registry,
    category: settings.category,
    readme: "",
  };
}
