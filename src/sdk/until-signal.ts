// How a worker is told to end. As the first process of a container it gets no signal that it does not listen for, so this is to be
// called before whatever takes long, such as a prestart hook.

const SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Resolves with the first signal. A second one ends the process at once, with 1. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let isAsked = false;
    const ask = (signal: NodeJS.Signals) => {
      if (isAsked) process.exit(1);
      isAsked = true;
      resolve(signal);
    };
    for (const name of SIGNALS) process.on(name, ask);
  });
}
