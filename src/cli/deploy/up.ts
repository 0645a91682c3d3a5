// npm run deploy: plans, says the steps or does them, waits until the Worker answers, and prints what to try.
import { waitUntilUp } from "./address.ts";
import { type Config, migrationFiles, tagOfBuild } from "./config.ts";
import { type KeptFile, unfinishedIn } from "./kept.ts";
import { type Found, isImporting, planDeploy, type Step, sentenceOf } from "./plan.ts";
import { type Print, refuseInLog } from "./secrets.ts";
import { runSteps } from "./steps.ts";

export interface UpRequest {
  readonly config: Config;
  readonly found: Found;
  readonly kept: KeptFile;
  readonly print: Print;
  /** Of the first tenant. */
  readonly tenantName: string;
  /** Of the first endpoint. */
  readonly slug: string;
  /** How long to wait until the Worker answers. */
  readonly waitMs: number;
  readonly isDry: boolean;
  /** Make no first key and no endpoint: an export has them. */
  readonly forImport: boolean;
}

export async function bringUp(request: UpRequest): Promise<void> {
  const { config, found, kept, print, slug, forImport } = request;
  if (forImport) refuseMadeSecrets(kept);
  const { names, databaseId: notedId, publicUrl } = config;
  // A build takes some seconds, and where nothing is deployed there is nothing to compare it with.
  const isDeployed = found.tag !== null && found.databaseId !== null;
  const tag = isDeployed ? await tagOfBuild(config, found.databaseId ?? "") : null;
  const wanted = { names, notedId, migrations: migrationFiles(), tag, slug, forImport };
  const steps = planDeploy(wanted, found, unfinishedIn(kept.read(), publicUrl));
  if (request.isDry) {
    for (const step of steps) print(`would: ${sentenceOf(step)}`);
    return print(`${counted(steps.length)} would be made; nothing was changed`);
  }
  if (steps.some(showsSecrets)) refuseInLog();
  const deployment = { ...request, wanted };
  let done = await runSteps(
    deployment,
    steps.filter(({ kind }) => kind !== "make-endpoint"),
  );
  const url = publicUrl ?? kept.read().url ?? null;
  if (url === null)
    print("No address is known: write the one that leads to the Worker into PUBLIC_URL of wrangler.toml.");
  else {
    await waitUntilUp(url, request.waitMs);
    print(`up: ${url}`);
  }
  const made = await runSteps(
    deployment,
    steps.filter(({ kind }) => kind === "make-endpoint"),
  );
  done += made;
  finish(kept);
  print(done === 0 ? "0 changes: all is as it should be" : counted(done));
  const next = importSentence(found, forImport);
  if (next !== null) {
    print(next);
    return print("npm run admin -- import --file FILE --remote");
  }
  if (url !== null) for (const line of linesToTry(url, made > 0 ? slug : (found.stored?.slug ?? null))) print(line);
}

/** What is printed where the next command is an import; null: it is not. */
function importSentence(found: Found, forImport: boolean): string | null {
  if (isImporting(found)) return "An import has begun here and not ended, and until it has no key works:";
  const hasKeys = (found.stored?.adminKeyIds ?? []).length > 0;
  return forImport && !hasKeys ? "Now the import, which brings keys and endpoints:" : null;
}

/** With secrets that were made here no key of an export would work. */
function refuseMadeSecrets(kept: KeptFile): void {
  const { secrets, first } = kept.read();
  if (secrets === undefined && first === undefined) return;
  throw new Error(
    "an earlier run has made secrets of its own for this deployment: npm run deploy -- --destroy takes it away, and this then begins anew",
  );
}

function showsSecrets(step: Step): boolean {
  // Whether a key is made at all is not known of an earlier release until it is migrated.
  return ["make-secrets", "show-secrets", "show-key"].includes(step.kind) || (step.kind === "make-key" && step.isSure);
}

function counted(changes: number): string {
  return changes === 1 ? "1 change" : `${changes} changes`;
}

/** The secrets and the key are shown, and nothing more is made with them. */
function finish(kept: KeptFile): void {
  const { secrets, first } = kept.read();
  if (secrets === undefined && first === undefined) return;
  kept.change({ secrets: undefined, areSecretsShown: undefined, first: undefined, isFirstShown: undefined });
}

/** `slug`: of an endpoint; null: there is none. */
function linesToTry(url: string, slug: string | null): string[] {
  if (slug === null) return ["There is no endpoint. To make one, with an admin key in WAYBILL_KEY:", endpointLine(url)];
  const auth = '-H "Authorization: Bearer $WAYBILL_KEY"';
  const body = "-H 'Content-Type: application/json' -d '{\"input\":\"hello\"}'";
  return [
    "Try it, with an admin key in WAYBILL_KEY. The job waits for a worker, whose environment the third line makes:",
    `curl -sS ${url}/v2/${slug}/run ${auth} ${body}`,
    `curl -sS ${url}/v2/${slug}/health ${auth}`,
    `npm run worker:env -- ${slug} --tier a4000 --broker ${url}`,
  ];
}

function endpointLine(url: string): string {
  return `npm run admin -- endpoint create --slug first --broker ${url}`;
}
