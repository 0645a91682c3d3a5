// The secrets of a deployment and its first key: made here, kept until they are shown, and shown once.
import { randomBytes } from "node:crypto";
import { selectUsableAdminKeys } from "../../db/keys.ts";
import { keyFingerprint } from "../../outbound/credentials.ts";
import { readSecret, readSecrets } from "../admin-secrets.ts";
import { executeRemote } from "../d1.ts";
import { findWrongSecret } from "../dev-secrets.ts";
import { initDeployment } from "../init.ts";
import { printableLine } from "../printable.ts";
import { makeOutputPrivate } from "../private-file.ts";
import type { KeptFile } from "./kept.ts";
import { SECRETS, type SecretName, type Stored } from "./plan.ts";
import { putSecrets } from "./wrangler.ts";

export type Print = (line: string) => void;

/**
 * Sets the secrets that the Worker does not have, and shows those that were made here. Where the database was set up
 * with a secret it must be that one: another would end every key and every sealed credential.
 */
export async function setSecrets(
  kept: KeptFile,
  stored: Stored | null,
  names: readonly SecretName[],
  print: Print,
): Promise<void> {
  const known = kept.read().secrets ?? {};
  const made: Record<string, string> = {};
  const given: Record<string, string> = {};
  for (const name of names) {
    const fingerprint = stored?.fingerprints.get(name.toLowerCase());
    const earlier = known[name];
    if (fingerprint === undefined) made[name] = earlier ?? randomBytes(32).toString("base64");
    else if (earlier !== undefined && (await keyFingerprint(earlier)) === fingerprint) made[name] = earlier;
    else given[name] = await askFormer(name, fingerprint);
  }
  // Before they are set, so that none is lost if this process ends in between.
  if (Object.keys(made).length > 0) kept.change({ secrets: { ...known, ...made }, areSecretsShown: false });
  await putSecrets({ ...made, ...given });
  showSecrets(kept, print);
}

/** Sets the secrets of the deployment whose export follows. They are not kept, and not shown. */
export async function setGivenSecrets(stored: Stored | null, names: readonly SecretName[]): Promise<void> {
  const given = await readSecrets(null);
  const values: Record<SecretName, string> = { PEPPER: given.pepper, ENCRYPTION_KEY: given.encryptionKey };
  for (const name of names) {
    const fingerprint = stored?.fingerprints.get(name.toLowerCase());
    if (fingerprint !== undefined) values[name] = await askFormer(name, fingerprint);
  }
  await putSecrets(Object.fromEntries(names.map((name) => [name, values[name]])));
}

async function askFormer(name: SecretName, fingerprint: string): Promise<string> {
  const value = await readSecret(`WAYBILL_${name}`, name).catch(() => {
    throw new Error(
      `the database was set up with another ${name}, which its keys need: give that one in WAYBILL_${name}`,
    );
  });
  if ((await keyFingerprint(value)) === fingerprint) return value;
  throw new Error(`WAYBILL_${name} is not the ${name} that the database was set up with`);
}

/** Shows the secrets that were made here, unless that was done. */
export function showSecrets(kept: KeptFile, print: Print): void {
  const { secrets = {}, areSecretsShown } = kept.read();
  if (areSecretsShown === true || Object.keys(secrets).length === 0) return;
  makeOutputPrivate();
  print("Keep these, they are not shown again. Without them no key and no credential can be read:");
  for (const [name, value] of Object.entries(secrets)) print(`  ${name}: ${value}`);
  kept.change({ areSecretsShown: true });
}

/** Where the output is kept in a log, others may read it. Throws a sentence, before anything is made. */
export function refuseInLog(): void {
  const { CI = "" } = process.env;
  if (CI === "" || CI === "false" || CI === "0") return;
  throw new Error(
    "this would show secrets, and here (CI is set) the output is kept: run it once on a machine of yours, later runs show none",
  );
}

/** Makes the first tenant and its key, and shows them. False: there is a key of the scope admin already. */
export async function makeFirstKey(
  kept: KeptFile,
  isSure: boolean,
  tenantName: string,
  print: Print,
): Promise<boolean> {
  if (!isSure && (await hasAdminKey())) return false;
  refuseInLog();
  const context = {
    secrets: await secretsOf(kept),
    execute: (...statements: Parameters<typeof executeRemote>[0]) => executeRemote(statements),
  };
  await initDeployment(context, tenantName, (first) => kept.change({ first, isFirstShown: false }));
  showFirstKey(kept, print);
  return true;
}

async function hasAdminKey(): Promise<boolean> {
  const [keys = []] = await executeRemote([selectUsableAdminKeys(Date.now())]);
  return keys.length > 0;
}

/** Those that were made here; the others are asked for, because the Worker does not give them out. */
async function secretsOf(kept: KeptFile): Promise<{ readonly pepper: string; readonly encryptionKey: string }> {
  const known = kept.read().secrets ?? {};
  const values = new Map<string, string>();
  for (const name of SECRETS) {
    const value = known[name] ?? (await readSecret(`WAYBILL_${name}`, name).catch(() => ""));
    if (value === "")
      throw new Error(`it is made with ${name}, which was set before: give that one in WAYBILL_${name}`);
    values.set(name, value);
  }
  const wrong = findWrongSecret(values);
  if (wrong !== null) throw new Error(`WAYBILL_${wrong.name} must be ${wrong.what}`);
  return { pepper: values.get("PEPPER") ?? "", encryptionKey: values.get("ENCRYPTION_KEY") ?? "" };
}

/** Shows the first key, unless that was done. */
export function showFirstKey(kept: KeptFile, print: Print): void {
  const { first, isFirstShown } = kept.read();
  if (first === undefined || isFirstShown === true) return;
  makeOutputPrivate();
  print("Keep these, they are not shown again. The key opens everything, the secret verifies webhooks:");
  print(`  admin key: ${first.key}`);
  print(`  webhook secret: ${first.webhookSecret}`);
  print(printableLine(`  tenant: ${first.tenantId}`));
  kept.change({ isFirstShown: true });
}
