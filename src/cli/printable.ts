// Text from a broker as a terminal may show it.

/** A tenant chooses names, which would else command the terminal of the operator who lists them. Line breaks stay. */
export function printable(text: string): string {
  return text.replace(/(?!\n)\p{Cc}/gu, escaped);
}

/** The same for what must stay one line. */
export function printableLine(text: string): string {
  return text.replace(/\p{Cc}/gu, escaped);
}

/** As in JSON, where the text stays what it was. */
function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
