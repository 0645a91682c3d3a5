// Tenants: who pays.
import { LIVE_JOBS_MAX } from "../../core/limits.ts";
import { part } from "../api.ts";
import { CALL_LIMITS, limitsChange } from "./call-limits.ts";
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
      "call-limits": CALL_LIMITS,
    },
    run: async ({ api, options, body }) => {
      const typed = options["call-limits"];
      const wanted = typed === undefined ? body : { ...body, ...limitsChange(typed)(null) };
      return showOne(await (await api()).send("POST", "/v1/tenants", wanted));
    },
  }),
  command({
    words: "tenant set",
    summary: "change a tenant",
    options: {
      tenant: { type: "text", value: "ID", about: "the tenant", required: true, names: "tenant" },
      name: { type: "text", value: "NAME", about: "for people", field: "name" },
      "waiting-max": waitingMax,
      "running-max": runningMax,
      "call-limits": CALL_LIMITS,
    },
    needsOneOf: ["name", "waiting-max", "running-max", "call-limits"],
    notes: ["Operations that --call-limits does not name keep their limits."],
    run: async ({ api, options, body }) => {
      const path = `/v1/tenants/${part(options.tenant)}`;
      const typed = options["call-limits"];
      if (typed === undefined) return showOne(await (await api()).send("PATCH", path, body));
      const change = limitsChange(typed);
      const now = await (await api()).get(path);
      const wanted = { ...body, ...change(now.limits) };
      return showOne(await (await api()).send("PATCH", path, wanted, Number(now.version)));
    },
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
