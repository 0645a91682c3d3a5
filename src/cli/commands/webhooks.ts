// Webhooks: those that were given up, and the secret that signs them.
import { textOf } from "../../core/json/value.ts";
import { SECRET_OVERLAP_MAX_SECONDS } from "../../core/manage/limits.ts";
import { part } from "../api.ts";
import { WrongUse } from "../wrong-use.ts";
import { type Command, command } from "./command.ts";
import { ENDPOINT, LISTED } from "./options.ts";
import { nextCursorOf, showOne, showPage, wordOf } from "./show.ts";

const TENANT = { type: "text", value: "ID", about: "another tenant, with a key of the scope admin" } as const;

export const WEBHOOK_COMMANDS: readonly Command[] = [
  command({
    words: "webhook dead",
    summary: "list webhooks that were given up",
    options: LISTED,
    run: async ({ api, options: page }) =>
      showPage(await (await api()).get("/v1/webhooks/dead", page), "webhooks", DEAD_COLUMNS),
  }),
  command({
    words: "webhook tries",
    summary: "list the last tries of an endpoint's webhooks, and what came of each",
    options: { ...ENDPOINT, ...LISTED },
    run: async ({ api, options: { endpoint, ...page } }) => {
      const answer = await (await api()).get(`/v1/endpoints/${part(endpoint)}/deliveries`, page);
      return showPage(answer, "deliveries", TRY_COLUMNS);
    },
  }),
  command({
    words: "webhook redeliver",
    summary: "send one webhook again that was given up, or all of them, 20 at a time",
    options: {
      id: { type: "text", value: "ID", about: "the webhook, of webhook dead" },
      all: { type: "flag", about: "every one that can be sent again, the oldest first" },
      cursor: {
        type: "text",
        value: "CURSOR",
        about: "with --all: go on where an earlier call has ended",
        field: "cursor",
      },
      tenant: TENANT,
    },
    run: async ({ api, options: { id, all, cursor, tenant }, body }) => {
      if ((id === undefined) !== all) throw new WrongUse("--id or --all, one of them");
      if (cursor !== undefined && !all) throw new WrongUse("--cursor goes with --all");
      const whose = queryOf(tenant);
      if (id === undefined) {
        const step = await (await api()).send("POST", `/v1/webhooks/dead/redeliver${whose}`, body);
        const next = nextCursorOf(step);
        const notes = next === null ? [] : [`There are more: --all --cursor ${next}`];
        return { ...showOne(step, STEP_FACTS), notes };
      }
      const answer = await (await api()).send("POST", `/v1/webhooks/dead/${part(id)}/redeliver${whose}`);
      const { delivered, tookMs } = answer;
      const lines = [
        `${delivered === true ? "delivered" : "failed"}: ${textOf(answer, "detail")} (${wordOf(tookMs)} ms)`,
      ];
      return { json: answer, lines, isBad: delivered !== true };
    },
  }),
  command({
    words: "webhook rotate",
    summary: "make a new secret that signs a tenant's webhooks, and print it",
    options: {
      overlap: {
        type: "duration",
        value: "TIME",
        min: 0,
        max: SECRET_OVERLAP_MAX_SECONDS,
        about: "how long the former secret signs, too, such as 0s or 7d (24h)",
        field: "overlapSeconds",
      },
      tenant: TENANT,
    },
    run: async ({ api, options: { tenant }, body }) => {
      return showOne(await (await api()).send("POST", `/v1/webhooks/secret/rotate${queryOf(tenant)}`, body));
    },
  }),
];

const STEP_FACTS = ["delivered", "failed", "remaining"];
function queryOf(tenant: string | undefined): string {
  return tenant === undefined ? "" : `?tenant=${part(tenant)}`;
}

const DEAD_COLUMNS = { ID: "webhookId", JOB: "jobId", URL: "url", TRIES: "tries", DETAIL: "detail" };
const TRY_COLUMNS = { AT: "at", JOB: "jobId", TRY: "try", DELIVERED: "delivered", STATUS: "status", DETAIL: "detail" };
