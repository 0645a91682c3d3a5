// Where the calls of a test may go.
import type { Reach } from "../../src/core/access/reach.ts";

/** Public addresses alone, of a deployment that has not said its own hosts. */
export const PUBLIC_ONLY: Reach = { allowPrivate: false, publicUrl: null, lbDomain: null };
