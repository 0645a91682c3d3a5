// What a worker does before its first job, wherever its jobs come from: it checks its machine and runs the prestart hook, unless it is
// told to end before.
import type { Variables } from "./environment.ts";
import { checksOf, findUnfit } from "./fitness.ts";
import type { WorkerConfig } from "./handler.ts";
import type { Log } from "./log.ts";
import { outliveStrayFailures } from "./stray-failures.ts";
import { type EndReason, untilEnd } from "./until-end.ts";

/** `code`: that of a process that ends without a job. `unfit`: why; null: it was told to end. */
type Fitness =
  | { readonly isFit: true; readonly asked: Promise<EndReason> }
  | { readonly isFit: false; readonly code: number; readonly unfit: Awaited<ReturnType<typeof findUnfit>> };

/** Logs why a worker is not fit. `asked` resolves with what tells it to end. */
export async function fitToWork(config: WorkerConfig, variables: Variables, log: Log): Promise<Fitness> {
  outliveStrayFailures(log);
  const asked = untilEnd(variables);
  const unfit = await Promise.race([asked, findUnfit(checksOf(config, variables))]);
  if (unfit === null) return { isFit: true, asked };
  if (typeof unfit === "string") {
    log.info("ends before it was ready", { reason: unfit });
    return { isFit: false, code: 0, unfit: null };
  }
  log.error("the worker cannot work", { check: unfit.check, reason: unfit.reason });
  return { isFit: false, code: 1, unfit };
}
