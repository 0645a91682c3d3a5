// Advice: which GPU a model needs, and how many active workers an endpoint needs.
import { type Fields, fieldsOf, textOf } from "../../core/json/value.ts";
import { part } from "../api.ts";
import { type Command, command } from "./command.ts";
import { ENDPOINT } from "./options.ts";
import { rowsOf, table } from "./show.ts";

const BATCH = { type: "number", value: "N", min: 1, max: 4_096 } as const;

export const ADVICE_COMMANDS: readonly Command[] = [
  command({
    words: "recommend gpu",
    summary: "name the GPUs that hold a model, the smallest first, with the price of an hour",
    options: {
      parameters: { type: "text", value: "COUNT", about: "of the model: 7B, 350M or 70e9", required: true },
      bits: { type: "text", value: "BITS", about: "of a parameter: 16, or 8 or 4 if it is quantised (16)" },
      context: { type: "number", value: "TOKENS", min: 1, about: "of a request and its answer, to add the cache" },
      batch: { ...BATCH, about: "requests that a worker runs at once (1)" },
    },
    run: async ({ api, options }) => {
      const answer = await (await api()).get("/v1/gpu-types/recommend", options);
      const best = fieldsOf(answer.recommended);
      const rows = [...(best === null ? [] : [best]), ...rowsOf(answer, "others")];
      return { json: answer, lines: [...reasoningOf(answer), "", ...table(rows, OPTION_COLUMNS)] };
    },
  }),
  command({
    words: "recommend workers",
    summary: "count the active workers that an endpoint's load needs",
    options: {
      ...ENDPOINT,
      "per-minute": { type: "text", value: "N", about: "requests a minute (those of the last hour)" },
      seconds: { type: "text", value: "S", about: "mean time of one on a worker (that of the last hour)" },
      slots: { ...BATCH, about: "requests that a worker runs at once (1)" },
    },
    run: async ({ api, options: { endpoint, seconds, slots, "per-minute": requestsPerMinute } }) => {
      const path = `/v1/endpoints/${part(endpoint)}/active-workers`;
      const answer = await (await api()).get(path, { requestsPerMinute, seconds, slots });
      return { json: answer, lines: [...reasoningOf(answer), `Active workers: ${String(answer.activeWorkers)}`] };
    },
  }),
];

function reasoningOf({ reasoning }: Fields): string[] {
  return Array.isArray(reasoning) ? reasoning.map(String) : [];
}

const OPTION_COLUMNS = {
  TIER: "gpuType",
  TITLE: "title",
  GB: "vramGb",
  GPUS: "gpus",
  "FLEX $/H": ({ flex }: Fields) => textOf(flex, "dollarsPerHour") || "-",
  "ACTIVE $/H": ({ active }: Fields) => textOf(active, "dollarsPerHour") || "-",
};
