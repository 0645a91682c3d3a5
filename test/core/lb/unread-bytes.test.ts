// What a side of a WebSocket is taken to have read: honest sides of every usual kind go on for hours, and one that may read nothing
// ends at a bound, however often it sends something.
import { describe, expect, it } from "vitest";
import { UnreadBytes } from "../../../src/core/lb/unread-bytes.ts";
import { LB_SOCKET_READ_BYTES_PER_SECOND, LB_SOCKET_UNREAD_MAX_BYTES } from "../../../src/core/limits.ts";
import { seededRandom } from "../../sim/random.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

interface Habit {
  readonly sentBytes: number;
  readonly everyMs: number;
  readonly saysBytes: number;
  readonly saysEveryMs: number;
}

/** How long a side of such habits is served, in milliseconds; null: for the whole hour. */
function endOf({ sentBytes, everyMs, saysBytes, saysEveryMs }: Habit): number | null {
  const unread = new UnreadBytes(0);
  for (let nowMs = 1; nowMs <= 3_600_000; nowMs += 1) {
    if (nowMs % saysEveryMs === 0) unread.forgive(saysBytes, nowMs);
    if (nowMs % everyMs === 0 && !unread.add(sentBytes)) return nowMs;
  }
  return null;
}

describe("a side is served for an hour that", () => {
  it.each<[string, Habit]>([
    [
      "is spoken to, and says each minute that it is there",
      { sentBytes: 10 * KIB, everyMs: 100, saysBytes: 20, saysEveryMs: 60_000 },
    ],
    [
      "watches a video, and says so every ten seconds",
      { sentBytes: MIB, everyMs: 1_000, saysBytes: 20, saysEveryMs: 10_000 },
    ],
    [
      "asks for a picture every two seconds",
      { sentBytes: 4 * MIB, everyMs: 2_000, saysBytes: 200, saysEveryMs: 2_000 },
    ],
    ["speaks while it is spoken to", { sentBytes: 10 * KIB, everyMs: 100, saysBytes: 2 * KIB, saysEveryMs: 20 }],
    [
      "answers the largest messages by ones as large",
      { sentBytes: 32 * MIB, everyMs: 500, saysBytes: 32 * MIB, saysEveryMs: 500 },
    ],
  ])("%s", (_what, habit) => {
    expect(endOf(habit)).toBeNull();
  });
});

describe("a side is found that", () => {
  it.each<[string, Habit, number]>([
    ["says nothing", { sentBytes: MIB, everyMs: 100, saysBytes: 1, saysEveryMs: 3_600_000 }, 4_100],
    [
      "says a byte a millisecond while 10 MiB come each second",
      { sentBytes: MIB, everyMs: 100, saysBytes: 1, saysEveryMs: 1 },
      5_000,
    ],
    [
      "says a byte a second while 10 MiB come each second",
      { sentBytes: MIB, everyMs: 100, saysBytes: 1, saysEveryMs: 1_000 },
      5_000,
    ],
  ])("%s", (_what, habit, atMs) => {
    const endMs = endOf(habit);
    expect(endMs).toBeGreaterThan(4_000);
    expect(endMs).toBeLessThanOrEqual(atMs);
  });
});

it("no side is sent more than the bound, what it has said itself, and what may be read in the time", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = seededRandom(seed);
    const unread = new UnreadBytes(0);
    let [nowMs, sentBytes, saidBytes] = [0, 0, 0];
    for (let step = 0; step < 500; step += 1) {
      nowMs += random.integer(0, 200);
      const bytes = random.integer(0, random.chance(0.1) ? 32 * MIB : 64 * KIB);
      if (random.chance(0.5)) {
        saidBytes += bytes;
        unread.forgive(bytes, nowMs);
      } else if (unread.add(bytes)) sentBytes += bytes;
      const readBytes = (nowMs / 1_000) * LB_SOCKET_READ_BYTES_PER_SECOND;
      expect(sentBytes).toBeLessThanOrEqual(LB_SOCKET_UNREAD_MAX_BYTES + saidBytes + readBytes);
    }
  }
});

it("a silence before it is sent anything, or a clock that is set back, gives it no more than the bound", () => {
  const unread = new UnreadBytes(0);
  unread.forgive(1, 3_600_000);
  expect(unread.add(LB_SOCKET_UNREAD_MAX_BYTES)).toBe(true);
  unread.forgive(0, 0);
  expect(unread.add(1)).toBe(false);
});
