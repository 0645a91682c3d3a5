// Time as the processor gives it to this thread: a bound on it holds on a machine that is busy with other things too.

/** Milliseconds of processor time that a run took. Only in Node: workerd does not tell it. */
export function cpuMsOf(run: () => void): number {
  const before = process.threadCpuUsage();
  run();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}
