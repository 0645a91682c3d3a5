// Checks of a machine before its worker asks for jobs, such as whether there is a GPU: a machine that cannot work must not take any.

/** Throws, or rejects, with what is wrong. */
export type FitnessCheck = () => unknown;

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
