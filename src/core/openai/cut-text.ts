// Error texts are cut at a length, which RunPod's reach by their traceback: the part before the cut must be readable.
import { isEscaped } from "../json/text.ts";

const CLOSERS: Readonly<Record<string, string>> = { "{": "}", "[": "]", "(": ")" };
/** Errors have few levels; a deeper text is none, and would be costly: open brackets are joined at each comma. */
const OPEN_MAX = 16;
/** A backslash, or the first part of \xNN, \uNNNN or \UNNNNNNNN, that the cut left of an escape. */
const CUT_ESCAPE = /\\(?:x[\da-fA-F]?|u[\da-fA-F]{0,3}|U[\da-fA-F]{0,7})?$/;

/**
 * Complete texts to read in place of a cut JSON text or Python literal, the fullest first: one with the string and
 * brackets closed, and one without the member that was cut. None for a text whose brackets are closed.
 */
export function closeCut(text: string): string[] {
  const open: string[] = [];
  let quote = "";
  /** Where the last whole member ends, and the closers of the brackets that were open there. */
  let whole: { readonly at: number; readonly closers: string } | null = null;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (quote !== "") {
      if (char === "\\") at += 1;
      else if (char === quote) quote = "";
    } else if (char === '"' || char === "'") quote = char;
    else if (CLOSERS[char] !== undefined) {
      if (open.length === OPEN_MAX) return [];
      open.unshift(CLOSERS[char]);
    } else if (char === open[0]) open.shift();
    else if (char === ",") whole = { at, closers: open.join("") };
  }
  if (open.length === 0) return [];
  const end = quote === "" ? text : withoutCutEscape(text) + quote;
  const closed = end + open.join("");
  return whole === null ? [closed] : [closed, text.slice(0, whole.at) + whole.closers];
}

/** Removes an escape that the cut left unfinished; an escaped backslash begins no escape. */
export function withoutCutEscape(text: string): string {
  const at = text.search(CUT_ESCAPE);
  return at === -1 || isEscaped(text, at) ? text : text.slice(0, at);
}
