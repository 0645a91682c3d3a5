// How long the turns of a broker are, by V8's profiler: samples in a row whose stack holds code of the broker are one turn.
// Two turns that follow each other at once count as one, so that the figure is never too small. A collection of garbage stops
// whatever runs, and is counted apart: here it is of one isolate with the edge, whose bodies and streams make most of the garbage,
// where a deployed object is collected with its like alone.
import * as z from "zod";
import { openInspector } from "./inspector.ts";

const SAMPLE_US = 1_000;
/**
 * A sample that comes later than this was late because the thread did not run: the machine is shared, and a turn is not longer
 * for it. A thread that runs is sampled in time, also in native code and while it collects garbage.
 */
const SAMPLE_COUNTED_MAX_US = 3 * SAMPLE_US;

const profileSchema = z.object({
  profile: z.object({
    nodes: z.array(
      z.object({
        id: z.int(),
        callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.int() }),
        children: z.array(z.int()).optional(),
      }),
    ),
    samples: z.array(z.int()),
    timeDeltas: z.array(z.int()),
  }),
});
type Profile = z.infer<typeof profileSchema>["profile"];

export interface Turn {
  /** Without collections of garbage. */
  readonly ms: number;
  /** The functions on the stack in most of its samples, outermost first. */
  readonly where: string;
}

export interface TurnMeter {
  /**
   * Ends the measurement: the longest turn of all brokers, the longest collection of garbage in one, and in how many samples any
   * broker was at work.
   */
  stop(): Promise<{ readonly longest: Turn; readonly collectionMs: number; readonly samples: number }>;
}

/** `worker` is the name under which workerd runs it, `bundle` its text: comments say which file each line has come from. */
export async function startTurnMeter(inspectorPort: number, worker: string, bundle: string): Promise<TurnMeter> {
  const files = filesByLine(bundle);
  const [session] = await openInspector(inspectorPort, `core:user:${worker}`);
  if (session === undefined) throw new Error("no isolate to measure");
  await session.call("Profiler.enable");
  await session.call("Profiler.setSamplingInterval", { interval: SAMPLE_US });
  await session.call("Profiler.start");
  return {
    stop: async () => {
      const { profile } = profileSchema.parse(await session.call("Profiler.stop"));
      session.close();
      return longestTurn(profile, files);
    },
  };
}

/** The bundler writes a comment with the path above each module. */
function filesByLine(bundle: string): readonly string[] {
  let file = "";
  return bundle.split("\n").map((line) => {
    file = /^\s*\/\/ ((?:src|node_modules)\/\S+)$/.exec(line)?.[1] ?? file;
    return file;
  });
}

/** The edge's side of a call is not the object's; all else in these folders runs in a broker. */
function isBrokerFile(file: string): boolean {
  return file.startsWith("src/broker/") && file !== "src/broker/peers.ts";
}

function longestTurn(profile: Profile, files: readonly string[]) {
  const stacks = stacksOf(profile, files);
  let longest: Turn = { ms: 0, where: "" };
  let longestCollectionUs = 0;
  let samples = 0;
  let turnUs = 0;
  let collectionUs = 0;
  let seen = new Map<string, number>();
  for (const [at, node] of profile.samples.entries()) {
    const stack = stacks.get(node);
    const us = Math.min(profile.timeDeltas[at] ?? 0, SAMPLE_COUNTED_MAX_US);
    // It belongs to the turn around it, and begins none.
    if (stack?.isGarbage === true && turnUs > 0) {
      collectionUs += us;
      longestCollectionUs = Math.max(longestCollectionUs, collectionUs);
      continue;
    }
    collectionUs = 0;
    if (stack?.isBroker !== true) {
      turnUs = 0;
      seen = new Map();
      continue;
    }
    samples += 1;
    turnUs += us;
    seen.set(stack.names, (seen.get(stack.names) ?? 0) + 1);
    if (turnUs / 1_000 > longest.ms) longest = { ms: turnUs / 1_000, where: mostSeen(seen) };
  }
  return { longest, collectionMs: longestCollectionUs / 1_000, samples };
}

function mostSeen(seen: ReadonlyMap<string, number>): string {
  return [...seen].reduce((a, b) => (a[1] >= b[1] ? a : b))[0];
}

interface Stack {
  readonly names: string;
  readonly isBroker: boolean;
  readonly isGarbage: boolean;
}

function stacksOf({ nodes }: Profile, files: readonly string[]): ReadonlyMap<number, Stack> {
  const parents = new Map<number, number>();
  for (const { id, children } of nodes) for (const child of children ?? []) parents.set(child, id);
  const stacks = new Map<number, Stack>();
  // A parent stands before its children.
  for (const { id, callFrame } of nodes) {
    const parent = stacks.get(parents.get(id) ?? -1);
    const { functionName, lineNumber } = callFrame;
    const isOurs = callFrame.url.endsWith("index.js");
    const names = [parent?.names ?? "", functionName].filter((name) => name !== "" && name !== "(root)").join(" > ");
    stacks.set(id, {
      names,
      isBroker: parent?.isBroker === true || (isOurs && isBrokerFile(files[lineNumber] ?? "")),
      isGarbage: functionName === "(garbage collector)",
    });
  }
  return stacks;
}
