// What a deploy prints: its plan, and how workers come to the endpoint afterwards.
import type { ShownEndpoint } from "../../contract/manage/endpoint.ts";
import { type FieldChange, HIDDEN } from "../../core/manage/changes.ts";
import { inForm } from "../../core/manage/worker-forms.ts";
import { wordOf } from "../commands/show.ts";
import type { DeployPlan, PlannedThing } from "./deploy-plan.ts";
import type { ProjectSettings } from "./settings.ts";

/** The plan for a script. What a request would send is not in it: it holds values of the environment. */
export function shownPlan({ template, endpoint, ...facts }: DeployPlan) {
  return { ...facts, template: shownThing(template), endpoint: shownThing(endpoint) };
}

function shownThing({ now, action, changes, kept }: PlannedThing) {
  return { id: now?.id ?? null, action, changes, kept };
}

/** The plan for a person. `place`: the broker and the tenant. */
export function planLines(plan: DeployPlan, place: string, isPushed: boolean): string[] {
  const { name, type, image, template, endpoint } = plan;
  return [
    `${name} at ${place}`,
    `image ${image} is ${isPushed ? "in its registry already" : "built and pushed"}`,
    ...thingLines(`template ${name}`, template),
    ...thingLines(`endpoint ${name} (${type})`, endpoint),
  ];
}

const ACTIONS = { create: "is made", change: "changes", keep: "stays as it is" } as const;

function thingLines(title: string, { now, action, changes, kept }: PlannedThing): string[] {
  const stays = action === "change" && kept.length > 0 ? [`  stays: ${kept.join(", ")}`] : [];
  return [`${title} ${ACTIONS[action]}`, ...changes.map((change) => `  ${changeText(change, now === null)}`), ...stays];
}

/** `workers.max: 3 → 5`; of a thing that is made only what it gets. */
function changeText({ field, old, new: value }: FieldChange, isMade: boolean): string {
  if (old === HIDDEN || value === HIDDEN)
    return `${field}: ${old === null ? "is set" : value === null ? "is removed" : "gets another value"}`;
  return isMade ? `${field}: ${valueText(value)}` : `${field}: ${valueText(old)} → ${valueText(value)}`;
}

const TEXT_MAX_CHARS = 80;

function valueText(value: unknown): string {
  if (value === null) return "none";
  const text = wordOf(value);
  return text.length > TEXT_MAX_CHARS ? `${text.slice(0, TEXT_MAX_CHARS)}…` : text;
}

/** How a worker of the endpoint is started, which the broker does not do by itself. */
export interface NextSteps {
  readonly address: string;
  readonly about: string;
  /** Of a shell. */
  readonly commands: readonly string[];
}

interface Typed {
  /** Where this command reaches the broker. */
  readonly base: string;
  /** A command as it is typed, by its words. */
  readonly line: (words: readonly string[]) => string;
}

export function nextSteps(
  endpoint: ShownEndpoint,
  image: string,
  file: ProjectSettings,
  { base, line }: Typed,
): NextSteps {
  const { slug, requestUrls, env = {} } = endpoint;
  const { tier, slots } = file;
  const names = Object.keys(env);
  // So that no value is printed.
  const fromShell = names.length === 0 ? "" : ` (-e ${names[0]} takes that variable from the shell)`;
  const started = `${names.map((name) => `-e ${name} `).join("")}${image}`;
  const about = "The broker starts no workers by itself.";
  if (!("run" in requestUrls)) {
    const upstream = `upstream add --endpoint ${slug} --dialect http --url https://HOST --tier ${tier} --slots ${slots}`;
    return {
      address: requestUrls.base,
      about: `${about} Start one where the broker reaches it${fromShell}, and add its address:`,
      commands: [`docker run --rm --gpus all -p 80:80 ${started}`, line(upstream.split(" "))],
    };
  }
  const { hint } = inForm("docker", { base, endpointId: endpoint.id, key: "", gpu: tier });
  const worker = `worker-env ${slug} --tier ${tier} --slots ${slots} --format docker`;
  return {
    address: requestUrls.run,
    about: `${about} On each machine with a GPU${fromShell}:`,
    commands: [
      // Without --silent npm writes the name of its script into the file, too.
      `${line(worker.split(" ")).replace("npm run", "npm run --silent")} > worker.env`,
      hint.replace(/IMAGE$/, started),
    ],
  };
}
