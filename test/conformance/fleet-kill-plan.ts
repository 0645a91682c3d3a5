// Which of a fleet's processes are killed, and when: in waves of jobs, while workers come for a wave, while they run its jobs, and when
// there is nothing left for them to do. All of it repeats with its seed; how far the fleet has come by then does not.

const KINDS = ["broker", "agent", "worker"] as const;
type Kind = (typeof KINDS)[number];
/** `out`: the fleet scales out. `busy`: jobs run. `in`: no job of the wave waits, and workers are idle until they end. */
type Moment = "out" | "busy" | "in";

export interface Kill {
  readonly kind: Kind;
  readonly moment: Moment;
  /** How long after the moment has come, ms. */
  readonly afterMs: number;
  /** Which of the workers that can be killed, 0 ≤ p < 1. */
  readonly part: number;
  /** How long the broker or the agent is away, ms. */
  readonly downMs: number;
}

export interface Wave {
  readonly jobs: number;
  readonly kills: readonly Kill[];
}

/**
 * The first wave is small: once the fleet has ended a machine its broker asks every 5 s what there is, and so finds soon that an agent which
 * was killed has lost the others. In a fleet that has ended none it asks once a minute.
 */
const WAVES: readonly { readonly jobs: number; readonly moments: readonly Moment[] }[] = [
  { jobs: 6, moments: ["out", "in"] },
  { jobs: 27, moments: ["out", "busy", "busy", "in"] },
  { jobs: 27, moments: ["out", "busy", "in", "in"] },
];
/** Kills of each kind; one more is of any kind. */
const EACH = 3;
const DOWN_MIN_MS = 200;
const DOWN_MAX_MS = 2_000;
/** An idle worker lives for 5 s. */
const AFTER_MAX_MS = { out: 1_000, busy: 300, in: 1_500 } as const satisfies Readonly<Record<Moment, number>>;
/** The last kill of a wave may come when the fleet has scaled in. */
const LAST_AFTER_MAX_MS = 7_000;

export function planKills(random: () => number): readonly Wave[] {
  let waves = drawWaves(random);
  while (!waves.every(canBeDone) || isLostLate(waves)) waves = drawWaves(random);
  return waves;
}

function drawWaves(random: () => number): readonly Wave[] {
  const left = KINDS.flatMap((kind) => Array.from({ length: EACH }, () => kind));
  const any = KINDS[Math.floor(random() * KINDS.length)] ?? "worker";
  left.push(any);
  return WAVES.map(({ jobs, moments }) => {
    const kills = moments.map((moment, at): Kill => {
      const [kind = any] = left.splice(Math.floor(random() * left.length), 1);
      const canBeLate = moment === "in" && kind !== "worker" && at === moments.length - 1;
      const afterMs = random() * (canBeLate ? LAST_AFTER_MAX_MS : AFTER_MAX_MS[moment]);
      return { kind, moment, afterMs, part: random(), downMs: DOWN_MIN_MS + random() * (DOWN_MAX_MS - DOWN_MIN_MS) };
    });
    return { jobs, kills };
  });
}

/** When all workers have ended with their agent, and no job is left that new ones would come for, there is none to kill. */
function canBeDone({ kills }: Wave): boolean {
  return !kills.some(({ kind, moment }, at) => {
    return kind === "worker" && moment === "in" && kills[at - 1]?.kind === "agent";
  });
}

/** Is a worker killed at its job in the last wave? The job waits for 28 s then, and the whole test for it. */
function isLostLate(waves: readonly Wave[]): boolean {
  return waves.at(-1)?.kills.some(({ kind, moment }) => kind === "worker" && moment === "busy") === true;
}
