// A worker in development that fetches its jobs from a broker. It has an endpoint of its own beside the deployed one, whose jobs it must never
// get.
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { messageOf } from "../../core/failure.ts";
import type { Fields } from "../../core/json/value.ts";
import { type Api, findAt, part, Refusal } from "../api.ts";
import { Failed, WrongUse } from "../wrong-use.ts";
import type { DevInbox } from "./dev-inbox.ts";
import type { DevNote } from "./dev-note.ts";
import { CannotStart, type DevPlace, startOf } from "./dev-place.ts";
import type { DevScreen } from "./dev-screen.ts";
import { readInputSchema } from "./input-schema.ts";
import { settingSentence } from "./setting-place.ts";
import { type ProjectSettings, SETTINGS_FILE } from "./settings.ts";

/** The settings that are about jobs. Who else may call the endpoint, and how machines are started for it, is the deployed one's alone. */
const OF_JOBS = [
  "maxAttempts",
  "timeout",
  "ttl",
  "retention",
  "inferenceRoutes",
  "tenantSharePercent",
  "allowedOrigins",
] as const satisfies readonly (keyof ProjectSettings["settings"])[];

/** A key whose revocation is missed, such as by a disk that is lost, ends by itself. */
const KEY_LASTS_SECONDS = 30 * 86_400;
/** Nobody waits longer for the end: a key that is not revoked by then is when dev runs next. */
const REVOKE_MAX_MS = 5_000;

const PATH = "/v1/endpoints";
const shownSchema = z.object({ id: z.string(), type: z.string(), version: z.int() });
const environmentSchema = z.object({
  workerKey: z.object({ id: z.string() }),
  variables: z.record(z.string(), z.string()),
});

interface AttachOptions {
  readonly folder: string;
  readonly settings: ProjectSettings;
  readonly note: DevNote;
  readonly screen: DevScreen;
  readonly inbox: DevInbox;
  /** A line that runs a job of an endpoint. */
  readonly runLine: (endpoint: string) => string;
}

/** Makes nothing yet: endpoint and key are made for the first start. */
export function attachTo(api: Api, options: AttachOptions): DevPlace {
  const { folder, settings, note, screen, runLine } = options;
  const endpoint = devSlug(settings);
  // One for all processes: a job of one that was killed is given to the next at once, as that reports that it runs nothing.
  const workerId = `dev-${randomUUID()}`;
  let known: string | null = null;
  let variables: Readonly<Record<string, string>> | null = null;
  return {
    prepare: async () => {
      const schema = await readSchema(options);
      const text = JSON.stringify(schema);
      if (text !== known && (await isPut(api, options, schema, variables === null))) known = text;
      if (variables === null) {
        variables = await makeKey(api, settings, note);
        const url = `${api.base}/v2/${endpoint}`;
        const more = ["", `  ${runLine(endpoint)}`, ""];
        screen.tell("attached", `the worker serves the endpoint ${endpoint}: ${url}`, { endpoint, url }, more);
      }
      const env = { ...settings.env, ...variables, RUNPOD_POD_ID: workerId, MODE: "serverless" };
      return startOf(folder, settings, [], env);
    },
    started: () => undefined,
    stopping: () => undefined,
    // As a platform does it where each job is to have a new process.
    restarts: async ({ code }) => code === 0,
    end: () => revokeKeys(api, note),
  };
}

function devSlug({ endpoint }: ProjectSettings): string {
  return `${endpoint}-dev`;
}

async function readSchema({ folder, settings, screen, inbox }: AttachOptions): Promise<Fields | null> {
  try {
    return await readInputSchema(folder, settings.worker, {
      env: settings.env,
      note: (sentence) => screen.tell("note", sentence),
      signal: inbox.ending,
    });
  } catch (error) {
    throw new CannotStart(messageOf(error));
  }
}

/** Revokes the keys of this broker that are noted, those of earlier runs that were killed, too. */
export async function revokeKeys(api: Api, note: DevNote): Promise<void> {
  const ours = note.keys.filter(({ broker }) => broker === api.base);
  const revoked = ours.map(async (key) => {
    await api.send("DELETE", `${PATH}/${part(key.endpoint)}/worker-keys/${part(key.id)}`).catch((error: unknown) => {
      // Of an endpoint that is deleted, or of another tenant's.
      if (!(error instanceof Refusal && error.status === 404)) throw error;
    });
    note.remove(key);
  });
  const done = Promise.allSettled(revoked);
  await Promise.race([done, sleep(REVOKE_MAX_MS, undefined, { ref: false })]);
}

/** False: the broker did not take it just now, which is no reason to end what runs; it is tried again at the next start. */
async function isPut(api: Api, options: AttachOptions, schema: Fields | null, isFirst: boolean): Promise<boolean> {
  try {
    await putEndpoint(api, options, schema);
    return true;
  } catch (error) {
    if (isFirst) throw explained(error, options.settings);
    options.screen.tell("note", `the endpoint does not have the input schema as it is now: ${messageOf(error)}`);
    return false;
  }
}

/** Makes the endpoint, or gives it the settings that it has not. */
async function putEndpoint(api: Api, { settings, screen }: AttachOptions, schema: Fields | null): Promise<void> {
  const slug = devSlug(settings);
  const path = `${PATH}/${part(slug)}`;
  const wanted = { ...jobSettings(settings), inputSchema: schema };
  const before = await readIfThere(api, path);
  if (before !== null && before.type !== "QUEUE") {
    throw new Failed(
      "failed",
      `the endpoint ${slug} is load-balanced and has no jobs: delete it, and dev makes it anew`,
    );
  }
  if (before === null) {
    await api.send("POST", PATH, { slug, type: "QUEUE", ...wanted });
    return screen.tell("note", `the endpoint ${slug} is made, with the settings of ${SETTINGS_FILE}`);
  }
  const after = shownSchema.parse(await api.send("PATCH", path, wanted));
  if (after.version !== before.version)
    screen.tell("note", `the endpoint ${slug} has new settings, which its callers meet within 30 s`);
}

/** A setting that the broker refuses, by its place in the folder. */
function explained(error: unknown, settings: ProjectSettings): unknown {
  const [problem] = error instanceof Refusal ? error.fields : [];
  return problem === undefined ? error : new WrongUse(settingSentence(problem, settings));
}

function jobSettings({ settings }: ProjectSettings): Fields {
  // Null takes a setting back, and a new endpoint has none to take back.
  const given = OF_JOBS.filter((name) => settings[name] !== undefined && settings[name] !== null);
  return Object.fromEntries(given.map((name) => [name, settings[name]]));
}

async function readIfThere(api: Api, path: string): Promise<z.infer<typeof shownSchema> | null> {
  const answer = await findAt(api, path);
  return answer === null ? null : shownSchema.parse(answer);
}

/** Resolves with the variables of the worker. */
async function makeKey(api: Api, settings: ProjectSettings, note: DevNote): Promise<Readonly<Record<string, string>>> {
  const endpoint = devSlug(settings);
  const { tier, slots } = settings;
  const wanted = { base: api.base, name: `dev on ${hostname()}`, expiresInSeconds: KEY_LASTS_SECONDS, tier, slots };
  const answer = await api.send("POST", `${PATH}/${part(endpoint)}/worker-env`, wanted).catch((error: unknown) => {
    throw explained(error, settings);
  });
  const { workerKey, variables } = environmentSchema.parse(answer);
  note.add({ broker: api.base, endpoint, id: workerKey.id });
  return variables;
}
