// Jobs, as their tenant or the operator looks for one or counts them.
import { type Fields, textOf } from "../../core/json/value.ts";
import { part } from "../api.ts";
import { type Command, command } from "./command.ts";
import { ENDPOINT, LISTED } from "./options.ts";
import { showPage } from "./show.ts";

export const JOB_COMMANDS: readonly Command[] = [
  command({
    words: "job list",
    summary: "list an endpoint's jobs, newest first",
    options: {
      ...ENDPOINT,
      status: { type: "text", value: "LIST", about: "such as FAILED,CANCELLED" },
      "error-code": { type: "text", value: "CODE", about: "why they failed (docs/failures.md)", field: "errorCode" },
      from: { type: "text", value: "TIME", about: "that came at this time or later, as 2027-01-31T00:00:00Z" },
      to: { type: "text", value: "TIME", about: "that came before this time" },
      ...LISTED,
    },
    run: async ({ api, options: { endpoint, "error-code": errorCode, ...query } }) => {
      const answer = await (await api()).get(`/v1/endpoints/${part(endpoint)}/jobs`, { ...query, errorCode });
      return showPage(answer, "jobs", COLUMNS);
    },
  }),
  command({
    words: "job depth",
    summary: "count the jobs that wait and run, by endpoint",
    options: {
      all: { type: "flag", about: "of every endpoint and all tenants together, with a key of the scope admin" },
      ...LISTED,
    },
    run: async ({ api, options: { all, ...page } }) => {
      const answer = await (await api()).get("/v1/depth", { ...page, ...(all ? { tenant: "*" } : {}) });
      return showPage(answer, "endpoints", DEPTH_COLUMNS);
    },
  }),
];

const DEPTH_COLUMNS = { ENDPOINT: "endpointId", WAITING: "waiting", RUNNING: "running" };

const COLUMNS = {
  ID: "id",
  STATUS: "status",
  CAME: "createdAt",
  FINISHED: "finishedAt",
  ATTEMPTS: "attempts",
  WORKER: "workerId",
  FAILURE: ({ failure }: Fields) => textOf(failure, "code") || "-",
};
