// Time as the processor gives it to this thread: a bound on it holds on a machine that is busy with other things too.

/** Milliseconds of processor time that a run took. Only in Node: workerd does not tell it. */
export function cpuMsOf(run: () => void): number {
  const before = usedMs();
  run();
  return usedMs() - before;
}

/** Processor time of this thread so far, in milliseconds. */
export function usedMs(): number {
  // Linux tells the time of a thread in steps of up to 4 ms, unless that of the process was asked for just before.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
