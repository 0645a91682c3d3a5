// Tenants: who pays.
import { LIVE_JOBS_MAX } from "../../core/limits.ts";
import { part } from "../api.ts";
import { type Command, command } from "./command.ts";
import { LISTED } from "./options.ts";
import { showOne, showPage } from "./show.ts";

const waitingMax = {
  type: "number",
  value: "N",
  min: 0,
  max: LIVE_JOBS_MAX,
  about: "jobs that may wait in each endpoint",
  field: "waitingMax",
} as const;

const runningMax = {
  type: "number",
  value: "N",
  min: 1,
  max: LIVE_JOBS_MAX,
  about: "jobs that may run at once in each endpoint",
  field: "runningMax",
} as const;

export const TENANT_COMMANDS: readonly Command[] = [
  command({
    words: "tenant create",
    summary: "make a tenant, and print the secret that signs its webhooks",
    options: {
      name: { type: "text", value: "NAME", about: "for people", required: true, field: "name" },
      "waiting-max": waitingMax,
      "running-max": runningMax,
    },
    run: async ({ api, body }) => showOne(await (await api()).send("POST", "/v1/tenants", body)),
  }),
  command({
    words: "tenant set",
    summary: "change a tenant",
    options: {
      tenant: { type: "text", value: "ID", about: "the tenant", required: true, names: "tenant" },
      name: { type: "text", value: "NAME", about: "for people", field: "name" },
      "waiting-max": waitingMax,
      "running-max": runningMax,
    },
    needsOneOf: ["name", "waiting-max", "running-max"],
    run: async ({ api, options, body }) =>
      showOne(await (await api()).send("PATCH", `/v1/tenants/${part(options.tenant)}`, body)),
  }),
  command({
    words: "tenant list",
    summary: "list tenants",
    options: { limit: LISTED.limit, cursor: LISTED.cursor },
    run: async ({ api, options }) =>
      showPage(await (await api()).get("/v1/tenants", options), "tenants", TENANT_COLUMNS),
  }),
];

export const TENANT_COLUMNS = {
  ID: "id",
  NAME: "name",
  "WAITING MAX": "waitingMax",
  "RUNNING MAX": "runningMax",
  CREATED: "createdAt",
};
