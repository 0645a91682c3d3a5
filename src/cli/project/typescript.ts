// Whether the Node that runs a worker takes TypeScript as it is.

/** The first releases that do without an option: 22.18 and 23.6. */
export function runsTypeScript(release = process.versions.node): boolean {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18);
}
