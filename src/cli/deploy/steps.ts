// Does the steps of a plan. Each leaves things so that a run after it goes on behind it, also where a step was done
// and its answer was lost.
import { messageOf } from "../../core/failure.ts";
import { makeApi } from "../api.ts";
import { addressOf } from "./address.ts";
import { type Config, noteDatabaseId, tagOfBuild } from "./config.ts";
import type { KeptFile } from "./kept.ts";
import { EXPIRY_DAYS, EXPIRY_RULE, type Found, type Step, sentenceOf, type Wanted } from "./plan.ts";
import { makeFirstKey, type Print, setGivenSecrets, setSecrets, showFirstKey, showSecrets } from "./secrets.ts";
import {
  addExpiry,
  applyMigrations,
  createBucket,
  createDatabase,
  createQueue,
  deploy,
  findDatabase,
} from "./wrangler.ts";

/** What a step is done with. */
export interface Deployment {
  readonly config: Config;
  readonly found: Found;
  readonly wanted: Wanted;
  readonly kept: KeptFile;
  /** Of the first tenant. */
  readonly tenantName: string;
  readonly print: Print;
}

/** Resolves with the number of steps that were done. */
export async function runSteps(deployment: Deployment, steps: readonly Step[]): Promise<number> {
  let done = 0;
  for (const step of steps) {
    const sentence = sentenceOf(step);
    const isDone = await runStep(deployment, step).catch((error: unknown) => {
      throw new Error(`could not ${sentence}: ${messageOf(error)}\nRun it again: it goes on where this run has ended.`);
    });
    if (!isDone) continue;
    deployment.print(`done: ${sentence}`);
    done += 1;
  }
  return done;
}

/** False: it was not necessary. */
async function runStep(deployment: Deployment, step: Step): Promise<boolean> {
  const { found, kept, print } = deployment;
  switch (step.kind) {
    case "create-database":
      await createDatabase(step.name);
      break;
    case "note-database":
      noteDatabaseId(await databaseId(deployment));
      break;
    case "create-bucket":
      await createBucket(step.name);
      break;
    case "add-expiry":
      await addExpiry(step.name, EXPIRY_RULE, EXPIRY_DAYS);
      break;
    case "create-queue":
      await createQueue(step.name);
      break;
    case "make-secrets":
      await setSecrets(kept, found.stored, step.names, print);
      break;
    case "set-secrets":
      await setGivenSecrets(found.stored, step.names);
      break;
    case "show-secrets":
      showSecrets(kept, print);
      break;
    case "migrate":
      await applyMigrations();
      break;
    case "make-key":
      return makeFirstKey(kept, step.isSure, deployment.tenantName, print);
    case "show-key":
      showFirstKey(kept, print);
      break;
    case "deploy":
      await deployWorker(deployment);
      break;
    case "make-endpoint":
      return makeEndpoint(deployment, step.name);
  }
  return true;
}

async function databaseId({ config, found }: Deployment): Promise<string> {
  const id = found.databaseId ?? (await findDatabase(config.names.database));
  if (id === null) throw new Error(`the account has no database ${config.names.database}`);
  return id;
}

async function deployWorker(deployment: Deployment): Promise<void> {
  const { config, wanted, kept } = deployment;
  const tag = wanted.tag ?? (await tagOfBuild(config, await databaseId(deployment)));
  const url = addressOf(await deploy(tag), config.publicUrl);
  if (url !== null) kept.change({ url });
}

/** False: the first key is not of this command. */
async function makeEndpoint({ config, kept }: Deployment, slug: string): Promise<boolean> {
  const { url: deployed = null, first } = kept.read();
  if (first === undefined) return false;
  const url = config.publicUrl ?? deployed;
  if (url === null)
    throw new Error("the address of the Worker is not known: write it into PUBLIC_URL of wrangler.toml");
  const api = makeApi({ base: url, key: first.key, keyFrom: "that was made for it" });
  await api.send("POST", "/v1/endpoints", { slug, tenantId: first.tenantId });
  return true;
}
