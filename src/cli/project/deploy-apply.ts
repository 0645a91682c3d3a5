// Carries out the plan of a deploy at the broker. The template goes first: while it is only a template, it starts and changes nothing. The
// endpoint follows by one request, with which all of the deploy is in force. If that fails, the next deploy finds the template as it is wanted
// and does the rest. Each change names the version that was read, so that what others have changed since is not overwritten.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { endpointSchema, type ShownEndpoint } from "../../contract/manage/endpoint.ts";
import { type Fields, textOf } from "../../core/json/value.ts";
import { type Api, part, Refusal } from "../api.ts";
import { Failed } from "../wrong-use.ts";
import type { DeployPlan } from "./deploy-plan.ts";
import { checked } from "./deploy-read.ts";
import { settingSentence } from "./setting-place.ts";
import { type ProjectSettings, SETTINGS_FILE } from "./settings.ts";

export interface DeployRequest {
  readonly api: Api;
  readonly plan: DeployPlan;
  readonly settings: ProjectSettings;
  /** The command that goes on after a failure, as it is typed. */
  readonly again: string;
}

export interface Deployed {
  readonly templateId: string;
  readonly endpoint: ShownEndpoint;
  /** False: the endpoint's broker has not answered, and has the change within 5 min. */
  readonly applied: boolean;
}

/** Makes the changes. Throws a sentence that tells what is done and how to go on. */
export async function applyPlan(request: DeployRequest): Promise<Deployed> {
  const templateId = await applyTemplate(request).catch((error: unknown) => {
    throw explained(error, "template", isUnanswered(error) ? "The endpoint is as it was." : NOTHING, request);
  });
  const answer = await applyEndpoint(request, templateId).catch(async (error: unknown) => {
    const isTakenBack = await takeBack(error, request, templateId);
    throw explained(error, "endpoint", isTakenBack ? NOTHING : "The template is as planned.", request);
  });
  return { templateId, endpoint: checked(endpointSchema, answer, request.api), applied: answer.applied !== false };
}

const NOTHING = "Nothing is changed at the broker.";

async function applyTemplate({ api, plan }: DeployRequest): Promise<string> {
  const { now, action, body } = plan.template;
  if (now === null) return textOf(await create(api, TEMPLATES, body), "id");
  if (action === "change") await api.send("PATCH", `${TEMPLATES}/${part(now.id)}`, body, now.version);
  return now.id;
}

async function applyEndpoint({ api, plan }: DeployRequest, templateId: string): Promise<Fields> {
  const { now, action, body } = plan.endpoint;
  const whole = { ...body, templateId };
  if (now === null) return create(api, ENDPOINTS, whole);
  const path = `${ENDPOINTS}/${part(now.id)}`;
  return action === "change" ? api.send("PATCH", path, whole, now.version) : api.get(path);
}

const TEMPLATES = "/v2/templates";
const ENDPOINTS = "/v1/endpoints";

/** An answer to a creation may be lost, whose thing is there then: with one key for all tries the broker makes it once. */
async function create(api: Api, path: string, body: Fields): Promise<Fields> {
  const once = randomUUID();
  for (let tries = 1; ; tries += 1) {
    try {
      return await api.post(path, JSON.stringify(body), once);
    } catch (error) {
      if (!isUnanswered(error) || tries === TRIES_MAX) throw error;
      await sleep(tries * PAUSE_MS);
    }
  }
}

const TRIES_MAX = 3;
const PAUSE_MS = 500;

/** Whether the call has done something is not known. */
function isUnanswered(error: unknown): boolean {
  if (error instanceof Refusal) return error.status >= 500;
  return error instanceof Failed && error.ending === "unreachable";
}

/** A new endpoint that is refused leaves no template behind, which would have the name of an endpoint that never was. */
async function takeBack(error: unknown, { api, plan }: DeployRequest, templateId: string): Promise<boolean> {
  if (isUnanswered(error) || plan.template.now !== null || plan.endpoint.now !== null) return false;
  const path = `${TEMPLATES}/${part(templateId)}`;
  // If this fails, too, the template stays, and the next deploy takes it.
  return api.send("DELETE", path).then(
    () => true,
    () => false,
  );
}

type Thing = "template" | "endpoint";

/** `before`: what the broker has without the change that has failed. */
function explained(error: unknown, thing: Thing, before: string, request: DeployRequest): unknown {
  if (!(error instanceof Failed)) return error;
  const doubt = isUnanswered(error) ? ` Whether the ${thing} has changed is not known.` : "";
  return new Failed(error.ending, `${reasonOf(error, thing, request)}\n${before}${doubt} To go on: ${request.again}`);
}

function reasonOf(error: Failed, thing: Thing, { plan: { name }, settings }: DeployRequest): string {
  if (!(error instanceof Refusal)) return error.message;
  const { status, fields, message } = error;
  if (status === 412)
    return `somebody else has changed the ${thing} ${name} since it was read, and that is not overwritten`;
  if (status === 409 && fields.some(({ field }) => field === "slug"))
    return `the name ${name} is taken: by another tenant, so that endpoint in ${SETTINGS_FILE} needs another one, or by a deploy at the same time`;
  if (fields.length === 0) return message;
  return fields.map((wrong) => settingSentence(wrong, settings)).join("\n");
}
