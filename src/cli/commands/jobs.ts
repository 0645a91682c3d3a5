// Jobs, as their tenant or the operator looks for one, counts them, or ends one.
import { type Fields, fieldsOf, textOf } from "../../core/json/value.ts";
import { type Api, part } from "../api.ts";
import { type Command, command, type Shown } from "./command.ts";
import { LISTED } from "./options.ts";
import { ENDPOINT_OR_OWN, endpointOf } from "./project-endpoint.ts";
import { rowsOf, showDone, showPage, table, timeOf, wordOf } from "./show.ts";

const JOB = { id: { type: "text", value: "ID", about: "the job's id", required: true } } as const;

export const JOB_COMMANDS: readonly Command[] = [
  command({
    words: "jobs",
    formerWords: "job list",
    summary: "list an endpoint's jobs, newest first",
    options: {
      ...ENDPOINT_OR_OWN,
      status: { type: "text", value: "LIST", about: "such as FAILED,CANCELLED" },
      "error-code": { type: "text", value: "CODE", about: "why they failed (docs/failures.md)", field: "errorCode" },
      from: { type: "text", value: "TIME", about: "that came at this time or later, as 2027-01-31T00:00:00Z" },
      to: { type: "text", value: "TIME", about: "that came before this time" },
      ...LISTED,
    },
    positional: "endpoint",
    run: async ({ api, options: { endpoint, "error-code": errorCode, ...query } }) => {
      const path = `/v1/endpoints/${part(endpointOf(endpoint))}/jobs`;
      return showPage(await (await api()).get(path, { ...query, errorCode }), "jobs", COLUMNS);
    },
  }),
  command({
    words: "job show",
    summary: "print a job in full: its times, its attempts, why it waits or has failed, and its bill",
    options: JOB,
    positional: "id",
    run: async ({ api, options: { id } }) => showJob(await (await api()).get(`/v1/jobs/${part(id)}`)),
  }),
  command({
    words: "job cancel",
    summary: "cancel a job that waits or runs",
    options: JOB,
    positional: "id",
    run: async ({ api, options: { id } }) => cancel(await api(), id),
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

/** The endpoint of a job is in the broker's answer about it, so that nobody has to type both. */
async function cancel(api: Api, id: string): Promise<Shown> {
  const { endpointId } = await api.get(`/v1/jobs/${part(id)}`);
  const answer = await api.send("POST", `/v2/${part(String(endpointId))}/cancel/${part(id)}`);
  return showDone(answer, `job ${id} is ${textOf(answer, "status")}`);
}

function showJob(job: Fields): Shown {
  const { attempts, lines, queue, failure, ...facts } = job;
  const reason = fieldsOf(queue) ?? fieldsOf(failure);
  return {
    json: job,
    lines: [
      ...Object.entries(facts).map(
        ([name, value]) => `${name}: ${name.endsWith("At") ? timeOf(value) : wordOf(value)}`,
      ),
      ...(reason === null
        ? []
        : [
            `why: ${textOf(reason, "reason") || textOf(reason, "code")}: ${textOf(reason, "detail") || textOf(reason, "message")}`,
          ]),
      "",
      "Attempts",
      ...table(rowsOf(job, "attempts"), ATTEMPT_COLUMNS).map((line) => `  ${line}`),
    ],
  };
}

const ATTEMPT_COLUMNS = {
  NUMBER: "number",
  WORKER: "workerId",
  STARTED: ({ startedAt }: Fields) => timeOf(startedAt),
  ENDED: ({ endedAt }: Fields) => timeOf(endedAt),
  CODE: "code",
  BILLED: "billed",
};

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
