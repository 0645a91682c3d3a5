// /v1/rates: every price that holds, has held or will hold, and the announcement of a new one.
import * as z from "zod";
import { pageShape, paginationSchema } from "../../contract/manage/page.ts";
import { type CreateRate, createdRateSchema, createRateSchema, rateSchema } from "../../contract/manage/rate.ts";
import { ok, type Result } from "../../core/failure.ts";
import { toNanodollars } from "../../core/manage/dollars.ts";
import { listRates } from "../../db/rates.ts";
import { createRate } from "../../manage/rates.ts";
import { contextOf } from "../kit/manage-context.ts";
import { type OperationCall, operation, type Reply } from "../kit/operation.ts";
import { loadPage } from "../kit/page.ts";
import type { Route } from "../kit/route.ts";
import { pushRest } from "./push-rest.ts";
import { showRate } from "./shown-rate.ts";

const querySchema = z.strictObject(pageShape);
const shared = { plane: "v1", tag: "Prices" } as const;
const PATH = "/v1/rates";

export const RATE_ROUTES: readonly Route[] = [
  operation({
    ...shared,
    method: "GET",
    path: PATH,
    id: "listRates",
    summary: "List prices",
    description: "Past, present and announced ones, the one that begins last first.",
    scopes: ["jobs", "manage", "admin"],
    kind: "reads",
    query: querySchema,
    answers: {
      200: {
        description: "A page of prices",
        schema: z.object({ rates: z.array(rateSchema), pagination: paginationSchema }),
      },
    },
    handle: list,
  }),
  operation({
    ...shared,
    method: "POST",
    path: PATH,
    id: "createRate",
    summary: "Announce a price",
    description:
      "It holds from its time on until the next price of its tier and kind. No price is ever changed. Attempts that run when it " +
      "begins are billed by the price of their start.",
    scopes: ["admin"],
    kind: "creates",
    body: createRateSchema,
    answers: { 201: { description: "The new price", schema: createdRateSchema } },
    handle: create,
  }),
];

async function list({
  env,
  query,
}: OperationCall<unknown, z.infer<typeof querySchema>, unknown>): Promise<Result<Reply>> {
  const found = await loadPage(query, (page) => listRates(env.DB, page));
  if (!found.ok) return found;
  const { rows, pagination } = found.value;
  return ok({ status: 200, body: { rates: rows.map(showRate), pagination } });
}

async function create(call: OperationCall<unknown, unknown, CreateRate>): Promise<Result<Reply>> {
  const { nanodollarsPerSecond, dollarsPerSecond = "", ...wanted } = call.body;
  const price = nanodollarsPerSecond ?? toNanodollars(dollarsPerSecond);
  const made = await createRate(contextOf(call), { ...wanted, nanodollarsPerSecond: price });
  if (!made.ok) return made;
  const { rate, applied } = made.value;
  if (!applied) pushRest(call.c);
  return ok({ status: 201, body: { ...showRate(rate), applied } });
}
