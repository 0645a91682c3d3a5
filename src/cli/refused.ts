// Makes the sentence that a refused command ends with: fields by the names of their options, and beside a wrong name what there is.
import { type Fields, textOf } from "../core/json/value.ts";
import { type Api, part, Refusal } from "./api.ts";
import type { Named, OptionSpecs } from "./commands/command.ts";
import { rowsOf } from "./commands/show.ts";

/** More names than this are a list, for which there are commands. */
const NAMES_MAX = 10;

/** The sentence of a refusal of the broker; every other error stays as it is. */
export async function explain(
  error: unknown,
  specs: OptionSpecs,
  values: Readonly<Record<string, unknown>>,
  api: Api,
): Promise<unknown> {
  if (!(error instanceof Refusal)) return error;
  if (error.status === 404) return new Refusal(404, (await unknownName(specs, values, api)) ?? error.message, []);
  if (error.fields.length === 0) return error;
  const sentences = error.fields.map((wrong) => optionSentence(specs, wrong));
  return new Refusal(error.status, sentences.join("\n"), error.fields);
}

/** `--slots must be …`; a field that no option sets keeps its own name. */
function optionSentence(specs: OptionSpecs, { field, message }: { field: string; message: string }): string {
  // `scopes.0` is a part of what --scopes sets.
  const [member = ""] = field.replace(/^\?/, "").split(".");
  const option = Object.keys(specs).find((name) => specs[name]?.field === member || name === member);
  const name = option === undefined ? field : `--${option}`;
  return /^[a-z"]/.test(message) ? `${name} ${message}` : `${name}: ${message}`;
}

/** How to find what there is of each kind, and how the sentence names it. */
const KINDS: Readonly<
  Record<
    Named,
    {
      readonly of: (endpoint: string) => string;
      readonly list: string;
      readonly name: readonly string[];
      readonly hint?: string;
    }
  >
> = {
  endpoint: { of: () => "/v1/endpoints", list: "endpoints", name: ["slug"] },
  tenant: { of: () => "/v1/tenants", list: "tenants", name: ["id", "name"] },
  key: { of: () => "/v1/keys", list: "keys", name: ["id", "name"], hint: " (workers' keys: worker-key)" },
  upstream: { of: (endpoint) => `/v1/endpoints/${part(endpoint)}/upstreams`, list: "upstreams", name: ["id", "url"] },
  provider: { of: () => "/v1/providers", list: "providers", name: ["id", "name"] },
  "worker key": {
    of: (endpoint) => `/v1/endpoints/${part(endpoint)}/worker-keys`,
    list: "workerKeys",
    name: ["id", "name"],
  },
};

/** Of the names that were typed the first one that the broker does not have; null: it has them all, or cannot be asked. */
async function unknownName(
  specs: OptionSpecs,
  values: Readonly<Record<string, unknown>>,
  api: Api,
): Promise<string | null> {
  const endpoint = String(values.endpoint ?? "");
  for (const [option, { names }] of Object.entries(specs)) {
    const value = values[option];
    if (names === undefined || typeof value !== "string") continue;
    const kind = KINDS[names];
    const path = kind.of(endpoint);
    const known = await exists(api, `${path}/${part(value)}`);
    if (known !== false) continue;
    return `there is no ${names} ${value}${await whatThereIs(api, path, kind)}${kind.hint ?? ""}`;
  }
  return null;
}

/** Null: the key may not ask. */
async function exists(api: Api, path: string): Promise<boolean | null> {
  try {
    await api.get(path);
    return true;
  } catch (error) {
    return error instanceof Refusal && error.status === 404 ? false : null;
  }
}

async function whatThereIs(api: Api, path: string, kind: (typeof KINDS)[Named]): Promise<string> {
  const rows = await listSome(api, path, kind.list);
  if (rows === null) return "";
  if (rows.length === 0) return "; there is none yet";
  const names = rows.slice(0, NAMES_MAX).map((row) => {
    const [first = "", second] = kind.name.map((field) => textOf(row, field));
    return second === undefined || second === "" ? first : `${first} (${second})`;
  });
  return `; there ${rows.length === 1 ? "is" : "are"} ${names.join(", ")}${rows.length > NAMES_MAX ? " and more" : ""}`;
}

/** Of all tenants where the key may see them, else of its own. Null: the key may see none. */
async function listSome(api: Api, path: string, name: string): Promise<Fields[] | null> {
  const isOfTenants = ["/v1/endpoints", "/v1/keys", "/v1/providers"].includes(path);
  for (const tenant of isOfTenants ? ["*", undefined] : [undefined]) {
    try {
      return rowsOf(await api.get(path, { limit: NAMES_MAX + 1, tenant }), name);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
  }
  return null;
}
