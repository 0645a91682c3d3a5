// A tenant that sends whatever comes to its mind, as a process of its own, so that the neighbour's clock is not held up by it.
// Started by `node test/load/hostile-tenant.ts` with one argument, JSON; its last line is JSON: how often each act ended how.
import * as z from "zod";
import { type Random, seededRandom } from "../sim/random.ts";
import { ACTS, type Act, type HostileWorld } from "./hostile-acts.ts";

/** Acts under way at once. */
const AT_ONCE = 16;

export const hostilitySchema = z.object({
  url: z.url(),
  key: z.string(),
  receiverUrl: z.url(),
  queue: z.string(),
  openai: z.string(),
  lb: z.string(),
  bodyMaxBytes: z.int(),
  seed: z.int(),
  durationMs: z.int().max(120_000),
});
export type Hostility = z.infer<typeof hostilitySchema>;

export const tallySchema = z.record(z.string(), z.record(z.string(), z.int()));
export type Tally = z.infer<typeof tallySchema>;

function pickAct(random: Random): readonly [name: string, act: Act] {
  let left = random.next() * ACTS.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, name, act] of ACTS) {
    left -= weight;
    if (left < 0) return [name, act];
  }
  throw new Error("the weights do not add up");
}

async function harass(hostility: Hostility): Promise<Tally> {
  const tally: Record<string, Record<string, number>> = {};
  const world: HostileWorld = { ...hostility, jobIds: [] };
  const endAtMs = Date.now() + hostility.durationMs;
  const hand = async (seed: number): Promise<void> => {
    const random = seededRandom(seed);
    while (Date.now() < endAtMs) {
      const [name, act] = pickAct(random);
      const ending = String(await act(world, random));
      const endings = tally[name] ?? {};
      tally[name] = { ...endings, [ending]: (endings[ending] ?? 0) + 1 };
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => hand(hostility.seed * 1_000 + at)));
  return tally;
}

const [, , argument] = process.argv;
if (argument !== undefined) console.log(JSON.stringify(await harass(hostilitySchema.parse(JSON.parse(argument)))));
