// What there is, who the key is, and who has changed what.
import { type Fields, fieldsOf, textOf } from "../../core/json/value.ts";
import { PAGE_MAX } from "../../core/manage/limits.ts";
import { type Api, part, type Query, Refusal } from "../api.ts";
import { PROGRAM } from "../program.ts";
import { type Command, command, type Shown } from "./command.ts";
import { ENDPOINT_COLUMNS } from "./endpoints.ts";
import { KEY_COLUMNS } from "./keys.ts";
import { LISTED } from "./options.ts";
import { type Columns, nextCursorOf, rowsOf, showOne, showPage, table, wordOf } from "./show.ts";
import { TENANT_COLUMNS } from "./tenants.ts";

export const OVERVIEW_COMMANDS: readonly Command[] = [
  command({
    words: "whoami",
    summary: "print which tenant the key is of, and what it opens",
    options: {},
    run: async ({ api }) => showOne(await (await api()).get("/v1/me")),
  }),
  command({
    words: "list",
    summary: "print the tenants, endpoints and keys that the key may see, the first 100 of each",
    options: {},
    run: async ({ api }) => overview(await api()),
  }),
  command({
    words: "audit",
    summary: "list who has changed what, newest first",
    options: LISTED,
    run: async ({ api, options }) => showPage(await (await api()).get("/v1/audit", options), "lines", AUDIT_COLUMNS),
  }),
];

const AUDIT_COLUMNS = {
  AT: "at",
  KEY: "keyId",
  ACTION: "action",
  OBJECT: "objectId",
  CHANGES: ({ changes }: Fields) =>
    Array.isArray(changes)
      ? changes.map((each) => `${textOf(each, "field")}: ${word(each, "old")} → ${word(each, "new")}`).join(", ")
      : "-",
};

function word(change: unknown, name: string): string {
  return wordOf(fieldsOf(change)?.[name]);
}

/** Pages behind the first one are only counted, and no further than this. */
const COUNTED_PAGES_MAX = 9;

async function overview(api: Api): Promise<Shown> {
  const self = await api.get("/v1/me");
  const scopes = Array.isArray(self.scopes) ? self.scopes : [];
  const all = scopes.includes("admin") ? { tenant: "*" } : {};
  const tenants = scopes.includes("admin")
    ? await firstPage(api, "/v1/tenants", "tenants", {})
    : { rows: await ownTenant(api, textOf(self, "tenantId")), more: "" };
  const endpoints = await firstPage(api, "/v1/endpoints", "endpoints", all);
  const keys = await firstPage(api, "/v1/keys", "keys", all);
  return {
    json: { tenants: tenants.rows, endpoints: endpoints.rows, keys: keys.rows },
    lines: [
      ...section("Tenants", tenants, TENANT_COLUMNS),
      ...section("Endpoints", endpoints, ENDPOINT_COLUMNS),
      ...section("Keys", keys, KEY_COLUMNS),
      `Upstreams: ${PROGRAM} upstream list --endpoint SLUG. Keys of workers: worker-key list --endpoint SLUG.`,
    ],
    notes: [tenants, endpoints, keys].flatMap(({ more }) => (more === "" ? [] : [more])),
  };
}

interface Page {
  readonly rows: readonly Fields[];
  /** A sentence on the pages behind it; "": there is none. */
  readonly more: string;
}

function section(heading: string, { rows }: Page, columns: Columns): string[] {
  return [heading, ...table(rows, columns).map((line) => `  ${line}`), ""];
}

/** A list that the key may not see is empty, and the sentence says so. */
async function firstPage(api: Api, path: string, name: string, query: Query): Promise<Page> {
  try {
    const first = await api.get(path, { ...query, limit: PAGE_MAX });
    let cursor = nextCursorOf(first);
    let more = 0;
    for (; cursor !== null && more < COUNTED_PAGES_MAX; more += 1) {
      cursor = nextCursorOf(await api.get(path, { ...query, limit: PAGE_MAX, cursor }));
    }
    return { rows: rowsOf(first, name), more: more === 0 ? "" : morePages(name, more, cursor !== null) };
  } catch (error) {
    if (error instanceof Refusal && error.status === 403) return { rows: [], more: `${name}: ${error.message}` };
    throw error;
  }
}

function morePages(name: string, pages: number, isMore: boolean): string {
  const count = isMore ? `more than ${pages} more pages` : pages === 1 ? "one more page" : `${pages} more pages`;
  return `${name}: ${count} of up to ${PAGE_MAX}; ${PROGRAM} ${name.replace(/s$/, "")} list shows them by --cursor.`;
}

async function ownTenant(api: Api, id: string): Promise<Fields[]> {
  try {
    return [await api.get(`/v1/tenants/${part(id)}`)];
  } catch (error) {
    if (error instanceof Refusal && (error.status === 403 || error.status === 404)) return [{ id }];
    throw error;
  }
}
