// Providers: who gives the machines of fleets.
import { PROVIDER_KINDS } from "../../contract/fleet.ts";
import { type Fields, textOf } from "../../core/json/value.ts";
import { readSecret } from "../admin-secrets.ts";
import { part } from "../api.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, command, type Shown } from "./command.ts";
import { LISTED, OF_TENANT } from "./options.ts";
import { rowsOf, showDone, showOne, showPage } from "./show.ts";

const PATH = "/v1/providers";

const ONE = {
  provider: { type: "text", value: "ID", about: "the provider, of provider list", required: true, names: "provider" },
} as const;

const SETTINGS = {
  default: { type: "flag", about: "endpoints with an image that name no provider use it", field: "default" },
  "with-credential": {
    type: "flag",
    about: "read WAYBILL_CREDENTIAL, or ask for it: runpod's API key, or the whsec_ that signs calls; it is sealed",
    field: "credential",
  },
} as const;
const NAME_ABOUT = "for people";
const OFFERS = {
  type: "list",
  value: "LIST",
  about: "the machines that it has, with their prices",
  field: "offers",
} as const;

const OFFERS_NOTE =
  'LIST: "NVIDIA L4=0.43,NVIDIA A40=0.35": GPU types with what one GPU costs in an hour; "TYPE=DOLLARS/TIER" bills its work by ' +
  "another tier than that of its pool, and CPU, which has none, needs it.";

/** A credential is no argument, which others can see: the option alone says that there is one. */
async function wantedOf(body: Fields, offers: readonly string[] | undefined, asked: boolean): Promise<Fields> {
  return {
    ...body,
    ...(offers === undefined ? {} : { offers: offers.map(offerOf) }),
    ...(asked ? { credential: await readSecret("WAYBILL_CREDENTIAL", "credential") } : {}),
  };
}

/** What each part may be is for the broker to say. */
function offerOf(entry: string): Fields {
  const [, gpuTypeId, pricePerHour, tier] = /^([^=]+)=([^=/]+)(?:\/([^=/]+))?$/.exec(entry) ?? [];
  if (gpuTypeId === undefined)
    throw new WrongUse(`--offers: "${entry}" is not as "NVIDIA L4=0.43" or "CPU=0.05/a4000"`);
  return { gpuTypeId, pricePerHour, ...(tier === undefined ? {} : { tier }) };
}

export const PROVIDER_COMMANDS: readonly Command[] = [
  command({
    words: "provider add",
    summary: "add a provider of machines, and print the secret that was made to sign its calls",
    options: {
      name: { type: "text", value: "NAME", about: NAME_ABOUT, required: true, field: "name" },
      kind: {
        type: "text",
        value: "KIND",
        choices: PROVIDER_KINDS,
        about: "none, which shows what would be done; webhook; runpod; or local",
        required: true,
        field: "kind",
      },
      offers: { ...OFFERS, required: true },
      url: {
        type: "text",
        value: "URL",
        about:
          "webhook, local: where its calls go; runpod: an API that is RunPod's, if it is not RunPod's own. It is for good",
        field: "url",
      },
      ...SETTINGS,
      ...OF_TENANT,
    },
    notes: [OFFERS_NOTE],
    run: async ({ api, options, body }) => {
      const wanted = await wantedOf(body, options.offers, options["with-credential"]);
      return showProvider(await (await api()).send("POST", PATH, wanted));
    },
  }),
  command({
    words: "provider set",
    summary: "change a provider; what is left out stays, and so do its kind and address",
    options: {
      ...ONE,
      name: { type: "text", value: "NAME", about: NAME_ABOUT, field: "name" },
      offers: OFFERS,
      ...SETTINGS,
      "not-default": { type: "flag", about: "only endpoints that name it use it" },
    },
    needsOneOf: ["name", "offers", "default", "not-default", "with-credential"],
    notes: [OFFERS_NOTE],
    run: async ({ api, options, body }) => {
      const { provider, offers, "not-default": isNone, "with-credential": asked } = options;
      if (options.default && isNone) throw new WrongUse("--default or --not-default, not both");
      const wanted = await wantedOf({ ...body, ...(isNone ? { default: false } : {}) }, offers, asked);
      return showProvider(await (await api()).send("PATCH", `${PATH}/${part(provider)}`, wanted));
    },
  }),
  command({
    words: "provider remove",
    summary: "remove a provider that no endpoint uses",
    options: ONE,
    run: async ({ api, options: { provider } }) => {
      const answer = await (await api()).send("DELETE", `${PATH}/${part(provider)}`);
      return showDone(answer, `provider ${provider} is removed`);
    },
  }),
  command({
    words: "provider list",
    summary: "list providers",
    options: LISTED,
    run: async ({ api, options }) => showPage(await (await api()).get(PATH, options), "providers", PROVIDER_COLUMNS),
  }),
];

function showProvider(answer: Fields): Shown {
  const { applied, ...provider } = answer;
  const shown = showOne(provider);
  const late = "Stored. Some endpoints' brokers did not answer: they have the change within 5 min.";
  return { ...shown, json: answer, notes: [...(shown.notes ?? []), ...(applied === false ? [late] : [])] };
}

const PROVIDER_COLUMNS = {
  ID: "id",
  NAME: "name",
  TENANT: "tenantId",
  KIND: "kind",
  URL: "url",
  DEFAULT: "default",
  OFFERS: (row: Fields) =>
    rowsOf(row, "offers")
      .map((offer) => `${textOf(offer, "gpuTypeId")}=${textOf(offer, "pricePerHour")}`)
      .join(", "),
};
