// Prices as vendors write them.

const NANODOLLARS_PER_DOLLAR = 1_000_000_000;

/** `dollars`: a number of JSON, which has at most a million dollars an hour. Rounded up, as every price is. */
export function toNanodollars(dollars: number): number {
  // 0.44 × 10⁹ must not become 440000001 by the way in which computers hold 0.44.
  return Math.ceil(Number((dollars * NANODOLLARS_PER_DOLLAR).toFixed(3)));
}

/** Such as `$0.44`. */
export function dollarText(nanodollars: number): string {
  return `$${nanodollars / NANODOLLARS_PER_DOLLAR}`;
}
