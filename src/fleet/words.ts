// What vendors write, as a part of one sentence for people.

/** The first sentences of an error fit; nobody needs the whole of a page of HTML. */
const QUOTED_MAX_CHARS = 500;

/** In one line, without control characters, cut. */
export function quoted(text: string): string {
  const line = text.replace(/[\p{C}\s]+/gu, " ").trim();
  return line.length > QUOTED_MAX_CHARS ? `${line.slice(0, QUOTED_MAX_CHARS).toWellFormed()}…` : line;
}

/** `said`: the vendor's own words; "": none. */
export function answeredWords(vendor: string, status: number, said: string): string {
  const line = quoted(said);
  if (line === "") return `${vendor} answered ${status}.`;
  return `${vendor} answered ${status}: ${/[.!?…]$/.test(line) ? line : `${line}.`}`;
}
