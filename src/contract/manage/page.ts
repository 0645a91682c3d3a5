// Lists in pages, as both planes of the management API take and answer them.
import * as z from "zod";
import {
  BILL_LINES_MAX,
  DEPTH_PAGE_DEFAULT,
  PAGE_DEFAULT,
  PAGE_MAX,
  RUNPOD_PAGE_MAX,
} from "../../core/manage/limits.ts";

/** No list makes a longer one. */
const CURSOR_MAX_CHARS = 300;

/** A cursor in a call: opaque to clients, and checked like any input. */
const cursorSchema = z.string().min(1).max(CURSOR_MAX_CHARS).optional();
const limitSchema = z.coerce.number().int().min(1);

/** Parameters of a list of /v1. */
export const pageShape = {
  cursor: cursorSchema.meta({ description: "The nextCursor of the page before; without it the list begins" }),
  limit: limitSchema.max(PAGE_MAX).default(PAGE_DEFAULT).meta({ description: "Entries of a page" }),
};

/** The same of counts, each of which is a call of a broker. */
export const depthPageShape = {
  ...pageShape,
  limit: limitSchema.max(PAGE_MAX).default(DEPTH_PAGE_DEFAULT).meta({ description: "Endpoints of a page" }),
};

/** The same of the bill. */
export const billPageShape = {
  ...pageShape,
  limit: limitSchema.max(BILL_LINES_MAX).default(BILL_LINES_MAX).meta({ description: "Lines of a page" }),
};

/** Parameters of a list of RunPod's plane. */
export const runPodPageShape = {
  cursor: cursorSchema,
  limit: limitSchema.max(RUNPOD_PAGE_MAX).default(RUNPOD_PAGE_MAX),
};

/** A member of calls that work through a list step by step. */
export const stepCursorSchema = cursorSchema.meta({ description: "The nextCursor of the step before" });

export const paginationSchema = z
  .object({ hasNextPage: z.boolean(), nextCursor: z.string().nullable() })
  .meta({ id: "Pagination" });
export type Pagination = z.infer<typeof paginationSchema>;
