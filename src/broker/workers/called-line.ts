// What lines of the list of workers have in common whose workers are called, and call nobody: upstreams, and load-balanced machines.

/** What is not known of such a worker. */
export const NOT_KNOWN_OF_CALLED = {
  kind: "push",
  lastSeenAtMs: null,
  keyId: null,
  gpu: null,
  version: null,
  draining: false,
  machine: null,
} as const;

export const NO_RATE = "Its tier has no rate.";
