// What npm start needs besides the broker: a tenant and its key before the broker is up, and an endpoint with the OCR worker as its
// upstream when it is. Each is made once and remembered in first.json.
import { randomBytes } from "node:crypto";
import { type Fields, textOf } from "../core/json/value.ts";
import { type Api, part, Refusal } from "./api.ts";
import { rowsOf } from "./commands/show.ts";
import { executeOnFolder } from "./dev-database.ts";
import type { DevSecrets } from "./dev-secrets.ts";
import { type First, readFirst, secretsDigest, writeFirst } from "./first-file.ts";
import { makeFirstTenant } from "./init.ts";

export interface FirstWithWorker extends First {
  readonly workerKey: string;
}

/** Reads the tenant and key that an earlier start or setup made, or makes them. The broker must not run meanwhile. */
export async function ensureFirst(state: string, secrets: DevSecrets): Promise<FirstWithWorker> {
  const known = readFirst(state, secrets) ?? (await makeTenant(state, secrets));
  const first = { ...known, workerKey: known.workerKey ?? randomBytes(24).toString("base64url") };
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
/** The name of the upstream: a start that ended before it had noted the id finds it by this. */
const UPSTREAM_NAME = "npm start";

/** The endpoint of npm start. */
export interface FirstEndpoint {
  readonly endpointId: string;
  readonly slug: string;
  /** Was it made by this call? */
  readonly made: boolean;
}

/** Makes the endpoint, or finds it, and lets its upstream lead to the worker, whose port is another one at some starts. */
export async function ensureEndpoint(
  api: Api,
  state: string,
  first: FirstWithWorker,
  workerUrl: string,
): Promise<FirstEndpoint> {
  const { endpoint, made } = await findOrMake(api, first);
  const [endpointId, slug] = [textOf(endpoint, "id"), textOf(endpoint, "slug")];
  const noted = { ...first, endpointId, slug };
  writeFirst(state, noted);
  const upstreamId = await ensureUpstream(api, endpointId, noted, workerUrl);
  writeFirst(state, { ...noted, upstreamId, upstreamUrl: workerUrl });
  return { endpointId, slug, made };
}

async function findOrMake(api: Api, { endpointId = SLUG, tenantId }: First) {
  const known = await find(api, `/v1/endpoints/${part(endpointId)}`);
  // The key of the first tenant is the operator's, which finds every tenant's endpoints.
  if (known !== null && known.tenantId !== tenantId)
    throw new Error(
      `The endpoint ${SLUG} is another tenant's: start with a state of its own, npm start -- --state DIR.`,
    );
  if (known !== null) return { endpoint: known, made: false };
  return { endpoint: await api.send("POST", "/v1/endpoints", { slug: SLUG, tenantId }), made: true };
}

/** Resolves with its id. */
async function ensureUpstream(api: Api, endpointId: string, first: FirstWithWorker, url: string): Promise<string> {
  const path = `/v1/endpoints/${endpointId}/upstreams`;
  const known = await findUpstream(api, path, first.upstreamId);
  if (known === null) {
    const price = { slots: 1, tier: "a4000", rateKind: "flex" };
    const upstream = { name: UPSTREAM_NAME, url, dialect: "runpod", credential: first.workerKey, ...price };
    return textOf(await api.send("POST", path, upstream), "id");
  }
  const id = textOf(known, "id");
  if (known.url !== url) await api.send("PATCH", `${path}/${part(id)}`, { url, credential: first.workerKey });
  return id;
}

async function findUpstream(api: Api, path: string, id: string | undefined): Promise<Fields | null> {
  if (id !== undefined) return find(api, `${path}/${part(id)}`);
  return rowsOf(await api.get(path), "upstreams").find(({ name }) => name === UPSTREAM_NAME) ?? null;
}

/** Null: there is none. */
async function find(api: Api, path: string): Promise<Fields | null> {
  try {
    return await api.get(path);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return null;
    throw error;
  }
}
