// Options that several families of commands have.
import { PAGE_MAX, SLOTS_MAX } from "../../core/manage/limits.ts";
import type { OptionSpecs } from "./command.ts";

/** Whose things a command is about; without it those of the key's own tenant. */
export const OF_TENANT = {
  tenant: {
    type: "text",
    value: "ID",
    about: "another tenant, with a key of the scope admin",
    field: "tenantId",
    names: "tenant",
  },
} as const satisfies OptionSpecs;

/** Whose things a list shows. */
export const LISTED = {
  tenant: { type: "text", value: "ID", about: "with the scope admin: of this tenant, or of all with *" },
  limit: { type: "number", value: "N", min: 1, max: PAGE_MAX, about: "entries of a page (50)" },
  cursor: { type: "text", value: "CURSOR", about: "the page that an earlier one ended with" },
} as const satisfies OptionSpecs;

export const ENDPOINT = {
  endpoint: { type: "text", value: "ENDPOINT", about: "its id or slug", required: true, names: "endpoint" },
} as const satisfies OptionSpecs;

/** The id of a key, without what it names. */
export const KEY_ID = {
  type: "text",
  value: "ID",
  about: "the second part of the key: wb_live_ID_…",
  required: true,
} as const;

/** How many jobs run at once. */
export const SLOTS = { type: "number", value: "N", min: 1, max: SLOTS_MAX, field: "slots" } as const;
