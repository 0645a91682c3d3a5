// What PEPPER and ENCRYPTION_KEY must look like, as src/config.ts asks of the Worker: said before anything is written.

const RULES: readonly { readonly name: string; readonly pattern: RegExp; readonly what: string }[] = [
  { name: "PEPPER", pattern: /^.{32,}$/, what: "at least 32 characters" },
  { name: "ENCRYPTION_KEY", pattern: /^[A-Za-z0-9+/]{43}=$/, what: "32 bytes in base64" },
];

/** The first secret that is wrong, and what it must be; null when both are well-formed. */
export function findWrongSecret(secrets: ReadonlyMap<string, string>): { name: string; what: string } | null {
  return RULES.find(({ name, pattern }) => !pattern.test(secrets.get(name) ?? "")) ?? null;
}
