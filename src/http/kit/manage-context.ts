// The context that a change of settings needs, of a checked call.
import type { ManageContext } from "../../manage/context.ts";
import type { OperationCall } from "./operation.ts";

export function contextOf({
  env,
  c,
  caller,
  nowMs,
  creation,
  ifMatch,
}: OperationCall<unknown, unknown, unknown>): ManageContext {
  return { env, caller, nowMs, creation, ifMatch, requestId: c.get("requestId") };
}
