// The arguments of an image, which an endpoint has as one text.

/** The words of a text, taken apart as a shell does it that replaces nothing; null: a quote is not closed, or a backslash ends the text. */
export function splitWords(text: string): readonly string[] | null {
  const words: string[] = [];
  let rest = text.trimStart();
  while (rest !== "") {
    const [word] = /^(?:[^\s'"\\]|'[^']*'|"(?:[^"\\]|\\[\s\S])*"|\\[\s\S])+/.exec(rest) ?? [];
    if (word === undefined) return null;
    const behind = rest.slice(word.length);
    if (behind !== "" && !/^\s/.test(behind)) return null;
    words.push(word.replace(/'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g, unquoted));
    rest = behind.trimStart();
  }
  return words;
}

/** Within double quotes a backslash means itself, but before the characters that mean something there. */
function unquoted(_: string, single?: string, double?: string, escaped?: string): string {
  return single ?? double?.replace(/\\(["\\$`])/g, "$1") ?? escaped ?? "";
}
