// Deploys the worker of a folder: its image to a registry, and its endpoint to the broker. The broker itself is deployed by npm run deploy.
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Api } from "../api.ts";
import { confirm } from "../confirm.ts";
import { printable, printableLine } from "../printable.ts";
import { applyPlan, type Deployed } from "../project/deploy-apply.ts";
import { type DeployPlan, planDeploy } from "../project/deploy-plan.ts";
import { readBroker } from "../project/deploy-read.ts";
import { nextSteps, planLines, shownPlan } from "../project/deploy-show.ts";
import { buildImage, dockerCommands, isDockerUp } from "../project/docker.ts";
import { readInputSchema } from "../project/input-schema.ts";
import { settingSentence } from "../project/setting-place.ts";
import { fieldsInFile, type ProjectSettings, requireSettings, SETTINGS_FILE } from "../project/settings.ts";
import { typedLine } from "../typed-line.ts";
import type { Place } from "../where.ts";
import { Failed, WrongUse } from "../wrong-use.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";
import { notesOf } from "./show.ts";

const OPTIONS = {
  tag: { type: "text", value: "TAG", about: "of the image (the time in UTC, as 20270131-235900)" },
  "image-is-pushed": { type: "flag", about: "build nothing: the image of --tag is in its registry already" },
  "dry-run": { type: "flag", about: "print what would be done, and do nothing" },
  yes: { type: "flag", about: "do not ask before it is done" },
} as const;

export const DEPLOY_COMMAND: Command = command({
  words: "deploy",
  summary: "deploy the worker of this folder: build and push its image, and make or change its endpoint",
  options: OPTIONS,
  notes: [
    "First it prints what is made and what changes, and asks. What waybill.json does not name stays as it is at the broker.",
    "Where no Docker daemon answers, it prints the commands for another machine, and goes on with --image-is-pushed.",
    "The broker is not deployed by this, but by npm run deploy in the project Waybill.",
  ],
  run: deploy,
});

/** A deploy whose plan is made. */
interface Prepared {
  readonly folder: string;
  readonly settings: ProjectSettings;
  readonly tag: string;
  readonly place: Place;
  readonly api: Api;
  readonly tenantId: string;
  readonly plan: DeployPlan;
  /** Sentences about the worker. */
  readonly notes: readonly string[];
}

type Call = CommandCall<typeof OPTIONS>;

async function deploy(call: Call): Promise<Shown> {
  const { "image-is-pushed": isPushed, "dry-run": isDry, yes } = call.options;
  const prepared = await prepare(call);
  const { folder, settings, api, plan } = prepared;
  const isAsked = !yes && process.stdin.isTTY === true;
  if (isAsked || !call.isJson) printPlan(prepared, isPushed, call.isJson ? console.error : console.log);
  if (isDry) return shown(prepared, { lines: ["Nothing was built or changed."] });
  const hasWork = !isPushed || [plan.template, plan.endpoint].some(({ action }) => action !== "keep");
  if (hasWork && !yes && !isAsked) return refuseUnasked(prepared, call.isJson);
  if (!isPushed && !(await canBuild(folder))) return unbuilt(prepared);
  if (hasWork && isAsked && !(await confirm("Deploy this?"))) throw new Failed("failed", NOTHING_DONE);
  if (!isPushed) await buildImage(folder, plan.image);
  const deployed = await applyPlan({ api, plan, settings, again: goOn(prepared) });
  return done(prepared, deployed);
}

const NOTHING_DONE = "nothing was built or changed";

/** How a deploy goes on whose image is in its registry, as it is typed. */
function goOn({ tag, place }: Pick<Prepared, "tag" | "place">): string {
  return typedLine(["deploy", "--tag", tag, "--image-is-pushed"], place);
}

/** Reads the folder and the broker. Whatever is wrong in the folder ends it here, before anything is built. */
async function prepare({ options, place, api: findApi }: Call): Promise<Prepared> {
  const folder = process.cwd();
  const settings = requireSettings(folder);
  const { image: repository, endpoint: slug } = settings;
  const tag = tagOf(options.tag, options["image-is-pushed"]);
  if (repository === undefined)
    throw new WrongUse(`image is missing in ${SETTINGS_FILE}: where it is pushed to, such as ghcr.io/you/${slug}`);
  const api = await findApi();
  const { tenantId, tierPools, ...found } = await readBroker(api, settings);
  const notes: string[] = [];
  const { type, worker, env } = settings;
  const note = (sentence: string) => void notes.push(sentence);
  const inputSchema = type === "LOAD_BALANCER" ? null : await readInputSchema(folder, worker, { env, note });
  // A tier that the file does not name is no wish to move an endpoint to other GPUs.
  const takesTier = fieldsInFile(folder).has("tier") || found.endpoint === null || found.endpoint.gpu === null;
  const pools = takesTier && tierPools.length > 0 ? tierPools : null;
  const planned = planDeploy({ settings, image: `${repository}:${tag}`, inputSchema, pools }, found);
  if (!planned.ok) throw new WrongUse(settingSentence(planned.problem, settings));
  return { folder, settings, tag, place, api, tenantId, plan: planned.plan, notes };
}

function tagOf(typed: string | undefined, isPushed: boolean): string {
  if (typed === undefined) {
    if (isPushed) throw new WrongUse("--tag is missing: which image is pushed?");
    // 2027-01-31T23:59:00.000Z as 20270131-235900.
    return new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-");
  }
  if (/^\w[\w.-]{0,127}$/.test(typed)) return typed;
  throw new WrongUse("--tag must be letters, digits, _, . and -, with none of the last two first, and at most 128");
}

/** Where JSON was asked for, a person who is asked sees the plan beside it. */
function printPlan({ api, tenantId, plan, notes }: Prepared, isPushed: boolean, print: (line: string) => void): void {
  const place = `${api.base} (tenant ${tenantId})`;
  for (const line of [...planLines(plan, place, isPushed), ...notes]) print(printableLine(line));
}

/** `more`: members of the JSON beside the plan. */
function shown({ plan, notes }: Prepared, { more = {}, ...rest }: Omit<Shown, "json"> & { more?: object }): Shown {
  return { json: { plan: shownPlan(plan), notes, result: null, ...more }, ...rest };
}

function refuseUnasked(prepared: Prepared, isJson: boolean): never {
  if (isJson) console.log(printable(JSON.stringify(shown(prepared, { lines: [] }).json, null, 2)));
  throw new WrongUse(`--yes is missing: without a terminal nobody can be asked, and ${NOTHING_DONE}`);
}

async function canBuild(folder: string): Promise<boolean> {
  if (!(await isDockerUp())) return false;
  if (existsSync(join(folder, "Dockerfile"))) return true;
  throw new WrongUse(`there is no Dockerfile in ${folder}: init writes one`);
}

function unbuilt(prepared: Prepared): Shown {
  const { plan } = prepared;
  const commands = dockerCommands(plan.image).map((words) => ["docker", ...words].join(" "));
  const next = goOn(prepared);
  return shown(prepared, {
    lines: [
      "No Docker daemon answers here. These make the image, in a copy of this folder on a machine that has one:",
      ...commands.map((line) => `  ${line}`),
    ],
    notes: [`Nothing is changed at the broker yet. When the image is pushed, go on: ${next}`],
    more: { commands, next },
    isBad: true,
  });
}

function done(prepared: Prepared, { templateId, endpoint, applied }: Deployed): Shown {
  const { plan, settings, place, api } = prepared;
  const { id, slug, version, release } = endpoint;
  const { address, about, commands } = nextSteps(endpoint, plan.image, settings, {
    base: api.base,
    line: (words) => typedLine(words, place),
  });
  const result = { endpointId: id, slug, version, release, templateId, applied, address, workers: commands };
  return shown(prepared, {
    lines: [`${slug} is deployed, release ${release}: ${address}`, about, ...commands.map((line) => `  ${line}`)],
    notes: notesOf({ applied }),
    more: { result },
  });
}
