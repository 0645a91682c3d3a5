// npm run deploy: plans, says the steps or does them, waits until the Worker answers, and prints what to try.
import { waitUntilUp } from "./address.ts";
import { type Config, migrationFiles, tagOfBuild } from "./config.ts";
import { type KeptFile, unfinishedIn } from "./kept.ts";
import { type Found, planDeploy, type Step, sentenceOf } from "./plan.ts";
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
}

export async function bringUp(request: UpRequest): Promise<void> {
  const { config, found, kept, print, slug } = request;
  const { names, databaseId: notedId, publicUrl } = config;
  // A build takes some seconds, and where nothing is deployed there is nothing to compare it with.
  const isDeployed = found.tag !== null && found.databaseId !== null;
  const tag = isDeployed ? await tagOfBuild(config, found.databaseId ?? "") : null;
  const wanted = { names, notedId, migrations: migrationFiles(), tag, slug };
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
  if (url !== null) for (const line of linesToTry(url, made > 0 ? slug : (found.stored?.slug ?? null))) print(line);
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
