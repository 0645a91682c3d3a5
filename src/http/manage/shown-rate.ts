// The form in which a price is seen: exact, for a second and for an hour.
import type { ShownRate } from "../../contract/manage/rate.ts";
import type { Rate } from "../../core/job/pricing.ts";
import { toTimeText } from "../../core/manage/time-text.ts";
import { showDollars } from "./shown-line.ts";

export function showPrice({ nanodollarsPerSecond }: Pick<Rate, "nanodollarsPerSecond">) {
  return {
    nanodollarsPerSecond,
    dollarsPerSecond: showDollars(nanodollarsPerSecond),
    dollarsPerHour: showDollars(nanodollarsPerSecond * 3_600),
  };
}

export function showRate(rate: Rate): ShownRate {
  const { tier, kind, effectiveFromMs } = rate;
  return { tier, kind, ...showPrice(rate), effectiveFrom: toTimeText(effectiveFromMs) };
}
