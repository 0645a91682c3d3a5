// Endpoints: what clients call.
import { LB_BODY_MAX_BYTES } from "../../core/limits.ts";
import { ATTEMPTS_MAX } from "../../core/manage/limits.ts";
import { part } from "../api.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, command } from "./command.ts";
import { FLEET_OPTIONS, fleetFieldsOf } from "./fleet-options.ts";
import { inputSchemaOf } from "./input-schema.ts";
import { ENDPOINT, LISTED, OF_TENANT } from "./options.ts";
import { showDone, showOne, showPage } from "./show.ts";

const PATH = "/v1/endpoints";
const MIB = 1024 * 1024;

/** What a new endpoint and an old one both take. */
const SETTINGS = {
  name: { type: "text", value: "NAME", about: "for people", field: "name" },
  shared: { type: "flag", about: "every tenant with a key may call it" },
  "max-attempts": {
    type: "number",
    value: "N",
    min: 1,
    max: ATTEMPTS_MAX,
    about: "tries of a job (2)",
    field: "maxAttempts",
  },
  "body-max-mib": {
    type: "number",
    value: "N",
    min: 1,
    max: LB_BODY_MAX_BYTES / MIB,
    about: "load-balanced: MiB that a request may carry, each way (30)",
    field: "bodyMaxBytes",
    unit: MIB,
  },
  "openai-routes": {
    type: "text",
    value: "LIST",
    about: "routes of an OpenAI server that clients reach (inference)",
    field: "inferenceRoutes",
  },
  "tenant-share": {
    type: "number",
    value: "PERCENT",
    min: 1,
    max: 100,
    about: "of the endpoint's rows and bytes that one tenant may keep",
    field: "tenantSharePercent",
  },
  "allowed-origins": {
    type: "list",
    value: "LIST",
    about: "origins whose pages may call it from a browser, such as https://app.example; none: no page (none)",
    field: "allowedOrigins",
  },
  "input-schema": {
    type: "text",
    value: "FILE",
    about: "a JSON Schema: a job whose input does not fit it is refused",
    field: "inputSchema",
  },
  ...FLEET_OPTIONS,
} as const;

const ROUTES_NOTE =
  'LIST: "inference" (chat, embeddings and the like), with more such as "inference,GET /v1/files/*", or "all" for an endpoint that is not shared.';

/** `none` stands for the empty list, which cannot be typed. */
function originsOf(typed: readonly string[] | undefined): { readonly allowedOrigins?: readonly string[] } {
  return typed?.join() === "none" ? { allowedOrigins: [] } : {};
}

/** What people are shown of one; `--json` has the rest. */
const FACTS = [
  "id",
  "slug",
  "name",
  "tenantId",
  "type",
  "visibility",
  "paused",
  "maxAttempts",
  "timeout",
  "ttl",
  "bodyMaxBytes",
  "inferenceRoutes",
  "tenantSharePercent",
  "allowedOrigins",
  "providers",
  "workers",
  "schedule",
  "maxCostPerHour",
  "initTimeout",
  "workerLifetime",
  "gpuTypesWithoutTier",
  "version",
  "createdAt",
];

export const ENDPOINT_COMMANDS: readonly Command[] = [
  command({
    words: "endpoint create",
    summary: "make an endpoint",
    options: {
      slug: { type: "text", value: "SLUG", about: "its name in paths", required: true, field: "slug" },
      ...OF_TENANT,
      kind: {
        type: "text",
        value: "KIND",
        choices: ["queue", "load_balancer"],
        about: "queue or load_balancer (queue)",
        field: "type",
      },
      ...SETTINGS,
    },
    notes: [ROUTES_NOTE],
    run: async ({ api, options, body }) => {
      const { kind = "queue", shared } = options;
      const schema = inputSchemaOf(options["input-schema"]);
      const visibility = shared ? "PUBLIC" : "PRIVATE";
      const origins = originsOf(options["allowed-origins"]);
      const fleet = fleetFieldsOf(options);
      const wanted = { ...body, ...origins, ...schema, ...fleet, type: kind.toUpperCase(), visibility };
      return showOne(await (await api()).send("POST", PATH, wanted), FACTS);
    },
  }),
  command({
    words: "endpoint set",
    summary: "change an endpoint; what is left out stays",
    options: {
      ...ENDPOINT,
      slug: { type: "text", value: "SLUG", about: "its name in paths", field: "slug" },
      ...SETTINGS,
      private: { type: "flag", about: "its own tenant alone may call it" },
      "without-input-schema": { type: "flag", about: "take any input again" },
      "without-schedule": { type: "flag", about: "have workers at no given hours" },
      pause: { type: "flag", about: "take jobs and start none" },
      resume: { type: "flag", about: "start jobs again" },
    },
    needsOneOf: [
      "shared",
      "private",
      "openai-routes",
      "tenant-share",
      "allowed-origins",
      "slug",
      "name",
      "max-attempts",
      "body-max-mib",
      "input-schema",
      "without-input-schema",
      "providers",
      "worker-slots",
      "max-cost",
      "schedule",
      "without-schedule",
      "init-timeout",
      "worker-lifetime",
      "pause",
      "resume",
    ],
    notes: [ROUTES_NOTE],
    run: async ({ api, options, body }) => {
      const { shared, private: isPrivate, pause, resume } = options;
      if (shared && isPrivate) throw new WrongUse("--shared or --private, not both");
      if (pause && resume) throw new WrongUse("--pause or --resume, not both");
      const wanted = {
        ...body,
        ...originsOf(options["allowed-origins"]),
        ...inputSchemaOf(options["input-schema"], options["without-input-schema"]),
        ...fleetFieldsOf(options, options["without-schedule"]),
        ...(shared || isPrivate ? { visibility: shared ? "PUBLIC" : "PRIVATE" } : {}),
        ...(pause || resume ? { paused: pause } : {}),
      };
      return showOne(await (await api()).send("PATCH", `${PATH}/${part(options.endpoint)}`, wanted), FACTS);
    },
  }),
  command({
    words: "endpoint delete",
    summary: "delete an endpoint: its jobs end, and a day later nothing of it is left but the bill",
    options: {
      ...ENDPOINT,
      yes: { type: "flag", about: "it is meant: a deleted endpoint does not come back" },
    },
    run: async ({ api, options: { endpoint, yes } }) => {
      if (!yes) throw new WrongUse(`--yes is missing: ${endpoint} and its jobs do not come back`);
      const answer = await (await api()).send("DELETE", `${PATH}/${part(endpoint)}`);
      return showDone(answer, `endpoint ${endpoint} is deleted`);
    },
  }),
  command({
    words: "endpoint show",
    summary: "print an endpoint's settings",
    options: ENDPOINT,
    run: async ({ api, options }) => showOne(await (await api()).get(`${PATH}/${part(options.endpoint)}`), FACTS),
  }),
  command({
    words: "endpoint list",
    summary: "list endpoints",
    options: LISTED,
    run: async ({ api, options }) => showPage(await (await api()).get(PATH, options), "endpoints", ENDPOINT_COLUMNS),
  }),
];

export const ENDPOINT_COLUMNS = {
  SLUG: "slug",
  ID: "id",
  TENANT: "tenantId",
  TYPE: "type",
  VISIBILITY: "visibility",
  PAUSED: "paused",
  VERSION: "version",
};
