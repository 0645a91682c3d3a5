// The fleet that a broker is given, as its stored settings and the offers of providers make it.
import { describe, expect, it } from "vitest";
import { fleetSettingsSchema } from "../../../src/contract/fleet.ts";
import { fleetSchema } from "../../../src/contract/manage/fleet.ts";
import { brokerFleet, initTimeoutOfEnv } from "../../../src/core/manage/fleet-settings.ts";

const PROVIDERS = [
  { id: "p", canStop: true, offers: [{ gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 430_000_000 }] },
];
const GPU = { pools: ["AMPERE_24"], count: 1, allowedCudaVersions: [], minCudaVersion: null };

function fleetOf(stored: object, providers = PROVIDERS) {
  const fleet = brokerFleet(fleetSchema.parse({ image: "i", gpu: GPU, ...stored }), 3, providers);
  // With the defaults that the broker's own schema has.
  return fleet === null ? null : fleetSettingsSchema.parse(fleet);
}

describe("the fleet of a broker", () => {
  it("has what RunPod's guide promises where the endpoint says nothing", () => {
    expect(fleetOf({})).toEqual({
      rule: { type: "QUEUE_DELAY", delayMs: 4_000 },
      min: 0,
      max: 3,
      idleTimeoutMs: 5_000,
      slots: 1,
      schedule: null,
      ceilingNanodollarsPerHour: null,
      initTimeoutMs: 420_000,
      lifetimeMs: 86_400_000,
      keepsStopped: true,
      release: 3,
      candidates: [
        { providerId: "p", gpuTypeId: "NVIDIA L4", priceNanodollarsPerHour: 430_000_000, tier: "l4", canStop: true },
      ],
    });
  });

  it("has what the endpoint says", () => {
    const entries = [
      { days: ["Mon", "Tue"], from: "08:00", to: "18:30", min: 2 },
      { days: ["Sun"], from: "22:00", to: "24:00", min: 1 },
    ];
    const stored = {
      workers: { min: 1, max: 9, idleTimeout: 30, slots: 4 },
      scaling: { type: "REQUEST_COUNT", requestCount: 7 },
      flashboot: "OFF",
      schedule: { timeZone: "Europe/Berlin", entries },
      ceilingNanodollarsPerHour: 2_500_000_000,
      initTimeout: 60,
      workerLifetime: 3_600,
    };
    expect(fleetOf(stored)).toMatchObject({
      rule: { type: "REQUEST_COUNT", requests: 7 },
      min: 1,
      max: 9,
      idleTimeoutMs: 30_000,
      slots: 4,
      keepsStopped: false,
      schedule: {
        timeZone: "Europe/Berlin",
        entries: [
          { days: ["Mon", "Tue"], fromMinute: 480, toMinute: 1_110, min: 2 },
          { days: ["Sun"], fromMinute: 1_320, toMinute: 1_440, min: 1 },
        ],
      },
      ceilingNanodollarsPerHour: 2_500_000_000,
      initTimeoutMs: 60_000,
      lifetimeMs: 3_600_000,
    });
    expect(fleetOf({ flashboot: "PRIORITY_FLASHBOOT" })?.keepsStopped).toBe(true);
    expect(fleetOf({ scaling: { type: "QUEUE_DELAY", queueDelay: 0.5 } })?.rule).toEqual({
      type: "QUEUE_DELAY",
      delayMs: 500,
    });
  });

  it("goes by the environment's time for a start before its own", () => {
    expect(fleetOf({ initTimeout: 60, initTimeoutOfEnv: 900 })?.initTimeoutMs).toBe(900_000);
  });

  it("is none without an image, without a provider, and without an offer of what is selected", () => {
    expect(fleetOf({ image: undefined })).toBeNull();
    expect(fleetOf({}, [])).toBeNull();
    expect(fleetOf({ gpu: { ...GPU, pools: ["ADA_24"] } })).toBeNull();
    expect(fleetOf({ gpu: null })).toBeNull();
  });
});

describe("RUNPOD_INIT_TIMEOUT of an environment", () => {
  it.each([
    ["900", 900],
    ["5", 5],
    ["3600", 3_600],
    ["4", null],
    ["3601", null],
    ["12.5", null],
    ["-60", null],
    ["60s", null],
    ["", null],
    ["0x40", null],
  ])("%o is taken as %o seconds", (text, seconds) => {
    expect(initTimeoutOfEnv({ RUNPOD_INIT_TIMEOUT: text })).toBe(seconds);
  });

  it("is nothing where there is none", () => {
    expect(initTimeoutOfEnv({ OTHER: "900" })).toBeNull();
  });
});
