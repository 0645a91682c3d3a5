// Names that JSON.parse reads as they were written. V8 (13.6, in Node 24) reads a name that is one escape, such as `"\n"`, as a
// backslash when it stands behind an empty name; texts of ours that pass through it unharmed would seem to be changed.

/** Is this name none of those? For the filter of a generator. */
export function isReadRight(name: string): boolean {
  return name.length !== 1 || JSON.stringify(name).length === name.length + 2;
}
