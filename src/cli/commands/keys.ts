// Keys of clients and operators. Keys of workers belong to an endpoint (worker-keys.ts).
import type { Fields } from "../../core/json/value.ts";
import { KEY_EXPIRES_IN_MAX_SECONDS, KEY_OVERLAP_MAX_SECONDS } from "../../core/manage/limits.ts";
import { part } from "../api.ts";
import { PROGRAM } from "../program.ts";
import { type Command, command } from "./command.ts";
import { KEY_ID, LISTED, OF_TENANT } from "./options.ts";
import { showDone, showOne, showPage, wordOf } from "./show.ts";

const ID = { ...KEY_ID, names: "key" } as const;

export const KEY_COMMANDS: readonly Command[] = [
  command({
    words: "key create",
    summary: "make a key, and print it",
    options: {
      ...OF_TENANT,
      scopes: {
        type: "list",
        value: "LIST",
        choices: ["jobs", "manage", "admin"],
        about: "what it opens: jobs, manage, admin (jobs)",
        field: "scopes",
        elsewhere: { worker: `a key of the scope worker belongs to an endpoint: make it with ${PROGRAM} worker-env` },
      },
      name: { type: "text", value: "NAME", about: "for people (key)", field: "name" },
      endpoints: {
        type: "list",
        value: "LIST",
        about: "ids or slugs of the only endpoints that it opens",
        field: "endpointIds",
      },
      "expires-in": {
        type: "duration",
        value: "TIME",
        min: 1,
        max: KEY_EXPIRES_IN_MAX_SECONDS,
        about: "when it ends, such as 12h or 90d",
        field: "expiresInSeconds",
      },
    },
    run: async ({ api, body }) => showOne(await (await api()).send("POST", "/v1/keys", body)),
  }),
  command({
    words: "key list",
    summary: "list keys, without their secrets",
    options: LISTED,
    run: async ({ api, options }) => showPage(await (await api()).get("/v1/keys", options), "keys", KEY_COLUMNS),
  }),
  command({
    words: "key rotate",
    summary: "make a new key like this one, which ends after an overlap",
    options: {
      id: ID,
      overlap: {
        type: "duration",
        value: "TIME",
        min: 0,
        max: KEY_OVERLAP_MAX_SECONDS,
        about: "how long the old key still works, such as 0s or 24h (1h)",
        field: "overlapSeconds",
      },
    },
    run: async ({ api, options, body }) =>
      showOne(await (await api()).send("POST", `/v1/keys/${part(options.id)}/rotate`, body)),
  }),
  command({
    words: "key revoke",
    summary: "end a key: everywhere within 30 s",
    options: { id: ID },
    run: async ({ api, options }) => {
      const answer = await (await api()).send("DELETE", `/v1/keys/${part(options.id)}`);
      return showDone(
        answer,
        `key ${options.id} is revoked; it is refused everywhere from ${wordOf(answer.effectiveAt)} on`,
      );
    },
  }),
];

/** What people read first: whose key, for what, and whether it still works. */
export const KEY_COLUMNS = {
  ID: "id",
  NAME: "name",
  TENANT: "tenantId",
  SCOPES: "scopes",
  ENDPOINTS: ({ endpointIds }: Fields) => (endpointIds === null ? "all" : wordOf(endpointIds)),
  ENDS: ({ revokedAt, expiresAt }: Fields) =>
    typeof revokedAt === "string" ? `revoked ${revokedAt}` : typeof expiresAt === "string" ? expiresAt : "-",
};
