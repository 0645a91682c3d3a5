// Dollars as decimal texts: a float would round them.

/** Nano-dollars of a decimal text of at most nine decimals. */
export function toNanodollars(dollars: string): number {
  const [whole = "", decimals = ""] = dollars.split(".");
  return Number(whole) * 1_000_000_000 + Number(decimals.padEnd(9, "0"));
}
