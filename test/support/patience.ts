// How long `vi.waitFor` waits where a test names no time. Its own second is less than the first message of a queue may take in a clean
// checkout: that loads all modules of the Worker, and other files of tests use the processor meanwhile. No test is about this time: what
// is bounded in time is measured. It is below the time after which a test counts as hanging, so that the check that failed is told.
import { vi } from "vitest";

const WAITED_MAX_MS = 20_000;

const { waitFor } = vi;
const waitPatiently: typeof vi.waitFor = (check, options) =>
  waitFor(check, typeof options === "number" ? options : { timeout: WAITED_MAX_MS, ...options });
// Files that share a runtime share this object: it is changed once.
if (waitFor.name !== waitPatiently.name) vi.waitFor = waitPatiently;
