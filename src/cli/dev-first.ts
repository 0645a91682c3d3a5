// What npm start needs besides the broker: a tenant and its key before the broker is up, and when it is an endpoint, and the environment
// by which the OCR worker fetches its jobs. Each is made once and remembered in first.json.
import * as z from "zod";
import { textOf } from "../core/json/value.ts";
import { type Api, findAt, part } from "./api.ts";
import { rowsOf } from "./commands/show.ts";
import { executeOnFolder } from "./dev-database.ts";
import type { DevSecrets } from "./dev-secrets.ts";
import { type First, readFirst, secretsDigest, writeFirst } from "./first-file.ts";
import { makeFirstTenant } from "./init.ts";

/** Reads the tenant and key that an earlier start or setup made, or makes them. The broker must not run meanwhile. */
export async function ensureFirst(state: string, secrets: DevSecrets): Promise<First> {
  const first = readFirst(state, secrets) ?? (await makeTenant(state, secrets));
  writeFirst(state, first);
  return first;
}

async function makeTenant(state: string, secrets: DevSecrets): Promise<First> {
  const context = {
    secrets: { pepper: secrets.get("PEPPER") ?? "", encryptionKey: secrets.get("ENCRYPTION_KEY") ?? "" },
    execute: (...statements: Parameters<typeof executeOnFolder>[1]) => executeOnFolder(state, statements),
  };
  return { secrets: secretsDigest(secrets), ...(await makeFirstTenant(context, "First tenant")) };
}

const SLUG = "ocr";
/** The name of the worker's key. An earlier release gave it to the upstream that it called its worker by. */
const NAME = "npm start";

/** The endpoint of npm start. */
export interface FirstEndpoint {
  readonly endpointId: string;
  readonly slug: string;
  /** Was it made by this call? */
  readonly made: boolean;
  /** Of the endpoint's worker, with its key. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Makes the endpoint and the environment of its worker, or finds them. */
export async function ensureEndpoint(api: Api, state: string, first: First): Promise<FirstEndpoint> {
  const { endpoint, made } = await findOrMake(api, first);
  const [endpointId, slug] = [textOf(endpoint, "id"), textOf(endpoint, "slug")];
  const noted = { ...first, endpointId, slug };
  writeFirst(state, noted);
  const worker = await ensureWorker(api, state, noted);
  await removeUpstreams(api, state, { ...noted, worker });
  return { endpointId, slug, made, environment: worker.environment };
}

async function findOrMake(api: Api, { endpointId = SLUG, tenantId }: First) {
  const known = await findAt(api, `/v1/endpoints/${part(endpointId)}`);
  // The key of the first tenant is the operator's, which finds every tenant's endpoints.
  if (known !== null && known.tenantId !== tenantId)
    throw new Error(
      `The endpoint ${SLUG} is another tenant's: start with a state of its own, npm start -- --state DIR.`,
    );
  if (known !== null) return { endpoint: known, made: false };
  return { endpoint: await api.send("POST", "/v1/endpoints", { slug: SLUG, tenantId }), made: true };
}

interface FirstWithEndpoint extends First {
  readonly endpointId: string;
}

/**
 * Keeps the key of an earlier start while it is good. It is made anew where somebody has revoked it, and where the broker is at another
 * address, such as another port, than the environment has.
 */
async function ensureWorker(api: Api, state: string, first: FirstWithEndpoint): Promise<NonNullable<First["worker"]>> {
  const path = `/v1/endpoints/${part(first.endpointId)}`;
  const { worker: known } = first;
  const isGood = known !== undefined && (await isUsable(api, `${path}/worker-keys/${part(known.keyId)}`));
  const address = known?.environment.RUNPOD_WEBHOOK_GET_JOB ?? "";
  if (isGood && address.startsWith(`${api.base}/v2/${first.endpointId}/`)) return known;
  const wanted = { name: NAME, tier: "a4000", rateKind: "flex", base: api.base };
  const answer = madeSchema.parse(await api.send("POST", `${path}/worker-env`, wanted));
  const worker = { keyId: answer.workerKey.id, environment: answer.variables };
  writeFirst(state, { ...first, worker });
  // Nobody has any more use for it.
  if (isGood) await api.send("DELETE", `${path}/worker-keys/${part(known.keyId)}`);
  return worker;
}

const madeSchema = z.object({
  workerKey: z.object({ id: z.string() }),
  variables: z.record(z.string(), z.string()),
});

async function isUsable(api: Api, path: string): Promise<boolean> {
  const key = await findAt(api, path);
  return key !== null && key.revokedAt === null;
}

/** An earlier release called its worker: nobody listens there any more, and a job that went there would wait for nothing. */
async function removeUpstreams(api: Api, state: string, first: FirstWithEndpoint): Promise<void> {
  const { upstreamId, ...rest } = first;
  const path = `/v1/endpoints/${part(first.endpointId)}/upstreams`;
  for (const { id, name } of rowsOf(await api.get(path), "upstreams")) {
    if (name === NAME || id === upstreamId) await api.send("DELETE", `${path}/${part(String(id))}`);
  }
  writeFirst(state, rest);
}
