// The workers of an endpoint, as its owner sees them.
import { type Fields, fieldsOf } from "../../core/json/value.ts";
import { part } from "../api.ts";
import { type Command, command } from "./command.ts";
import { ENDPOINT_OR_OWN, endpointOf } from "./project-endpoint.ts";
import { showDone, showPage, timeOf, wordOf } from "./show.ts";

const ONE = {
  ...ENDPOINT_OR_OWN,
  worker: { type: "text", value: "ID", about: "the worker, of workers", required: true },
} as const;

export const WORKER_COMMANDS: readonly Command[] = [
  command({
    words: "workers",
    summary: "list an endpoint's workers, those that fetch jobs and upstreams, and what each does",
    options: ENDPOINT_OR_OWN,
    positional: "endpoint",
    run: async ({ api, options }) => {
      const answer = await (await api()).get(pathOf(options.endpoint));
      const counts = Object.entries(fieldsOf(answer.summary) ?? {}).map(
        ([state, count]) => `${state} ${wordOf(count)}`,
      );
      const shown = showPage(answer, "workers", COLUMNS);
      return { ...shown, lines: [...shown.lines, "", counts.join(", ")] };
    },
  }),
  command({
    words: "worker drain",
    summary: "take a worker out of service: it ends its jobs and gets no more",
    options: ONE,
    positional: "worker",
    run: async ({ api, options: { endpoint, worker } }) => {
      const answer = await (await api()).send("POST", `${pathOf(endpoint)}/${part(worker)}/drain`);
      return showDone(answer, `worker ${worker} gets no more jobs`);
    },
  }),
  command({
    words: "worker resume",
    summary: "bring a drained worker back",
    options: ONE,
    positional: "worker",
    run: async ({ api, options: { endpoint, worker } }) => {
      const answer = await (await api()).send("POST", `${pathOf(endpoint)}/${part(worker)}/resume`);
      return showDone(answer, `worker ${worker} gets jobs again`);
    },
  }),
];

function pathOf(endpoint: string | undefined): string {
  return `/v1/endpoints/${part(endpointOf(endpoint))}/workers`;
}

const COLUMNS = {
  ID: "id",
  STATE: "state",
  KIND: "kind",
  TIER: "tier",
  SLOTS: "slots",
  RUNNING: "running",
  SEEN: ({ lastSeenAt }: Fields) => timeOf(lastSeenAt),
  REASON: "reason",
};
