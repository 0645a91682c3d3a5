// Tiers of GPUs and their prices.
import { RATE_KINDS } from "../../core/job/pricing.ts";
import { type Fields, textOf } from "../../core/json/value.ts";
import { type Command, command } from "./command.ts";
import { LISTED } from "./options.ts";
import { showOne, showPage } from "./show.ts";

export const CATALOGUE_COMMANDS: readonly Command[] = [
  command({
    words: "gpu-types",
    summary: "list the tiers of GPUs, and what a second of each costs",
    options: {},
    run: async ({ api }) => showPage(await (await api()).get("/v1/gpu-types"), "gpuTypes", TIER_COLUMNS),
  }),
  command({
    words: "rates list",
    summary: "list prices, with those that were and those that are announced",
    options: { limit: LISTED.limit, cursor: LISTED.cursor },
    run: async ({ api, options }) => showPage(await (await api()).get("/v1/rates", options), "rates", RATE_COLUMNS),
  }),
  command({
    words: "rates add",
    summary: "announce a price, which holds from a time on",
    options: {
      tier: { type: "text", value: "TIER", about: "the tier of GPUs", required: true, field: "tier" },
      rate: {
        type: "text",
        value: "RATE",
        choices: RATE_KINDS,
        about: "flex or active",
        required: true,
        field: "kind",
      },
      dollars: {
        type: "text",
        value: "DOLLARS",
        about: "of a second, such as 0.00016",
        required: true,
        field: "dollarsPerSecond",
      },
      from: {
        type: "text",
        value: "TIME",
        about: "as 2027-01-31T00:00:00Z, at least 10 minutes ahead (in 11 minutes)",
        field: "effectiveFrom",
      },
    },
    run: async ({ api, body }) => {
      const { applied, ...rate } = await (await api()).send("POST", "/v1/rates", body);
      const late = "Stored. Some brokers of this tier do not have it yet: they get it before it begins.";
      return { ...showOne(rate), json: { ...rate, applied }, notes: applied === false ? [late] : [] };
    },
  }),
];

const TIER_COLUMNS = {
  TIER: "id",
  TITLE: "title",
  GB: "vramGb",
  "FLEX $/S": ({ flex }: Fields) => textOf(flex, "dollarsPerSecond") || "-",
  "ACTIVE $/S": ({ active }: Fields) => textOf(active, "dollarsPerSecond") || "-",
  ANNOUNCED: ({ announced }: Fields) => (Array.isArray(announced) ? String(announced.length) : "-"),
};
const RATE_COLUMNS = { TIER: "tier", RATE: "kind", "$/S": "dollarsPerSecond", FROM: "effectiveFrom" };
