// Upstreams: addresses of workers that jobs are pushed to.
import { RATE_KINDS } from "../../core/job/pricing.ts";
import type { Fields } from "../../core/json/value.ts";
import { readSecret } from "../admin-secrets.ts";
import { part } from "../api.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, type CommandCall, command, type Shown } from "./command.ts";
import { ENDPOINT, LISTED, SLOTS } from "./options.ts";
import { showDone, showOne, showPage, wordOf } from "./show.ts";

const ONE = {
  ...ENDPOINT,
  upstream: { type: "text", value: "ID", about: "the upstream, of upstream list", required: true, names: "upstream" },
} as const;

const SETTINGS = {
  slots: { ...SLOTS, about: "jobs that it runs at once (1)" },
  rate: { type: "text", value: "RATE", choices: RATE_KINDS, about: "flex or active (flex)", field: "rateKind" },
  name: { type: "text", value: "NAME", about: "for people", field: "name" },
  "with-credential": {
    type: "flag",
    about: "read WAYBILL_CREDENTIAL, or ask for it; it is sealed",
    field: "credential",
  },
} as const;
const URL_ABOUT = "where it is called";
const TIER_ABOUT = "what a second of its work costs (gpu-types lists them)";

/** A credential is no argument, which others can see: the option alone says that there is one. */
async function withCredential(asked: boolean, body: Fields): Promise<Fields> {
  return asked ? { ...body, credential: await readSecret("WAYBILL_CREDENTIAL", "credential") } : body;
}

export const UPSTREAM_COMMANDS: readonly Command[] = [
  command({
    words: "upstream add",
    summary: "add a worker's address to an endpoint",
    options: {
      ...ENDPOINT,
      url: { type: "text", value: "URL", about: URL_ABOUT, required: true, field: "url" },
      dialect: {
        type: "text",
        value: "API",
        choices: ["runpod", "http", "openai"],
        about: "the API that it is called by: runpod, http or openai",
        required: true,
        field: "dialect",
      },
      "local-server": {
        type: "flag",
        about: "runpod: it is handler.py --rp_serve_api, which keeps no jobs",
        field: "local",
      },
      tier: { type: "text", value: "TIER", about: TIER_ABOUT, required: true, field: "tier" },
      ...SETTINGS,
    },
    run: async ({ api, options, body }) => {
      const wanted = await withCredential(options["with-credential"], body);
      return showOne(await (await api()).send("POST", pathOf(options.endpoint), wanted));
    },
  }),
  command({
    words: "upstream set",
    summary: "change an upstream; what is left out stays",
    options: {
      ...ONE,
      url: { type: "text", value: "URL", about: URL_ABOUT, field: "url" },
      tier: { type: "text", value: "TIER", about: TIER_ABOUT, field: "tier" },
      ...SETTINGS,
      "without-credential": { type: "flag", about: "forget the one that it has" },
    },
    needsOneOf: ["url", "tier", "slots", "rate", "name", "with-credential", "without-credential"],
    run: async ({ api, options, body }) => {
      const { "with-credential": asked, "without-credential": removed } = options;
      if (asked && removed) throw new WrongUse("--with-credential or --without-credential, not both");
      const wanted = removed ? { ...body, credential: null } : await withCredential(asked, body);
      return showOne(await (await api()).send("PATCH", pathOf(options.endpoint, options.upstream), wanted));
    },
  }),
  command({
    words: "upstream remove",
    summary: "remove an upstream",
    options: ONE,
    run: async ({ api, options }) => {
      const answer = await (await api()).send("DELETE", pathOf(options.endpoint, options.upstream));
      return showDone(answer, `upstream ${options.upstream} is removed`);
    },
  }),
  command({
    words: "upstream disable",
    summary: "give an upstream no more jobs",
    options: ONE,
    run: (call) => enable(call, false),
  }),
  command({
    words: "upstream enable",
    summary: "give an upstream jobs again",
    options: ONE,
    run: (call) => enable(call, true),
  }),
  command({
    words: "upstream test",
    summary: "call an upstream once, and print what came; exit code 1 where it is not well",
    options: ONE,
    run: async ({ api, options }) => {
      const answer = await (await api()).send("POST", `${pathOf(options.endpoint, options.upstream)}/test`);
      const { ok, detail, tookMs } = answer;
      const lines = [`${ok === true ? "ok" : "failed"}: ${wordOf(detail)} (${wordOf(tookMs)} ms)`];
      return { json: answer, lines, isBad: ok !== true };
    },
  }),
  command({
    words: "upstream list",
    summary: "list an endpoint's upstreams",
    options: { ...ENDPOINT, limit: LISTED.limit, cursor: LISTED.cursor },
    run: async ({ api, options: { endpoint, ...page } }) =>
      showPage(await (await api()).get(pathOf(endpoint), page), "upstreams", UPSTREAM_COLUMNS),
  }),
];

async function enable({ api, options }: CommandCall<typeof ONE>, enabled: boolean): Promise<Shown> {
  return showOne(await (await api()).send("PATCH", pathOf(options.endpoint, options.upstream), { enabled }));
}

function pathOf(endpoint: string, upstream?: string): string {
  const list = `/v1/endpoints/${part(endpoint)}/upstreams`;
  return upstream === undefined ? list : `${list}/${part(upstream)}`;
}

const UPSTREAM_COLUMNS = {
  ID: "id",
  NAME: "name",
  URL: "url",
  DIALECT: "dialect",
  SLOTS: "slots",
  TIER: "tier",
  RATE: "rateKind",
  ENABLED: "enabled",
};
