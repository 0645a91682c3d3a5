// Keys of workers that fetch their jobs. worker-env makes them.
import { part } from "../api.ts";
import { PROGRAM } from "../program.ts";
import { type Command, command } from "./command.ts";
import { ENDPOINT, KEY_ID, LISTED } from "./options.ts";
import { showDone, showPage } from "./show.ts";

export const WORKER_KEY_COMMANDS: readonly Command[] = [
  command({
    words: "worker-key list",
    summary: "list the keys of an endpoint's workers",
    options: { ...ENDPOINT, limit: LISTED.limit, cursor: LISTED.cursor },
    notes: [`${PROGRAM} worker-env ENDPOINT makes one.`],
    run: async ({ api, options: { endpoint, ...page } }) =>
      showPage(await (await api()).get(pathOf(endpoint), page), "workerKeys", COLUMNS),
  }),
  command({
    words: "worker-key revoke",
    summary: "end the key of an endpoint's workers",
    options: {
      ...ENDPOINT,
      id: { ...KEY_ID, names: "worker key" },
    },
    run: async ({ api, options: { endpoint, id } }) => {
      const answer = await (await api()).send("DELETE", `${pathOf(endpoint)}/${part(id)}`);
      return showDone(answer, `worker key ${id} is revoked: its workers get no more jobs`);
    },
  }),
];

function pathOf(endpoint: string): string {
  return `/v1/endpoints/${part(endpoint)}/worker-keys`;
}

const COLUMNS = {
  ID: "id",
  NAME: "name",
  TIER: "tier",
  RATE: "rateKind",
  SLOTS: "slots",
  EXPIRES: "expiresAt",
  REVOKED: "revokedAt",
};
