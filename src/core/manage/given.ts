// Which members of a value are given. A checked body has a member for each optional field, which is undefined where it was left out.

type Given<T> = { [Name in keyof T]?: Exclude<T[Name], undefined> };

/** The members that are given: spread over a thing, they leave its other members as they are. */
export function givenOf<T extends object>(value: T): Given<T> {
  // The entries of an object lose which name has which value.
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Given<T>;
}
