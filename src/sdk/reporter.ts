// Who runs a job, as the text of an exception names it.
import { hostname } from "node:os";
import type { Variables } from "./environment.ts";
import type { Reporter } from "./outcome.ts";
import { RELEASE } from "./release.ts";

export function reporterOf(workerId: string, variables: Variables): Reporter {
  return { workerId, hostname: variables.RUNPOD_POD_HOSTNAME ?? hostname(), release: RELEASE };
}
