// Checks of a machine before its worker asks for jobs, such as whether there is a GPU: a machine that cannot work must not take any.
import type { Variables } from "./environment.ts";

/** Throws, or rejects, with what is wrong. */
export type FitnessCheck = () => unknown;

/** What of a worker's configuration runs before its first job. */
interface Checked {
  readonly prestart?: () => unknown;
  readonly fitnessChecks?: Readonly<Record<string, FitnessCheck>>;
}

/** The first check that failed. */
export interface Unfit {
  readonly check: string;
  readonly reason: string;
}

/** Runs the checks one after the other; null: all is well. */
export async function findUnfit(checks: Readonly<Record<string, FitnessCheck>>): Promise<Unfit | null> {
  for (const [check, run] of Object.entries(checks)) {
    try {
      await run();
    } catch (error) {
      return { check, reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error) };
    }
  }
  return null;
}

/** The prestart hook is the last check: a worker whose model cannot be loaded is no fitter than one without a GPU. */
export function checksOf(
  { fitnessChecks = {}, prestart }: Checked,
  variables: Variables,
): Record<string, FitnessCheck> {
  const isSkipped = variables.RUNPOD_SKIP_AUTO_SYSTEM_CHECKS === "true";
  return { ...(isSkipped ? {} : fitnessChecks), ...(prestart === undefined ? {} : { prestart }) };
}
