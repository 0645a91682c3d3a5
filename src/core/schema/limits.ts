// The limits of an endpoint's input schema, with the reason for each number. The test asserts how they relate.

/** A schema as compact JSON. A large published one has 10 KB; each isolate keeps those of the endpoints that it serves. */
export const SCHEMA_MAX_BYTES = 32 * 1024;
/** Levels of a schema: an object in a list in an object takes six. */
export const SCHEMA_DEPTH_MAX = 32;
/** Subschemas. A form with two hundred fields has some three hundred. */
export const SUBSCHEMAS_MAX = 1_000;
/** Subschemas that one and the same value may be checked against: `allOf` of `$ref` of `anyOf` multiplies them. */
export const SCHEMAS_OF_VALUE_MAX = 256;
/** Characters of a regular expression. */
export const PATTERN_MAX_CHARS = 500;
/** States of all regular expressions of a schema: `[a-z]{1,500}` has a thousand. Each may have to be looked at for each character. */
export const PATTERN_STATES_MAX = 4_000;
/** Different characters and classes of all regular expressions of a schema. The engine takes 0.1 ms for the first use of some. */
export const PATTERN_CLASSES_MAX = 100;
/**
 * Properties of characters, such as `\p{L}`, of all regular expressions of a schema. Some have hundreds of ranges, which the engine looks
 * up in 0.04 ms for each reading and 0.1 ms for the first use.
 */
export const PATTERN_PROPERTIES_MAX = 10;
/** Groups in groups of a regular expression: it is read by a function that calls itself. */
export const PATTERN_DEPTH_MAX = 50;

/** An input that is checked is held and parsed, which takes up to ten times its bytes; 64 at once share an isolate's 128 MB. */
export const CHECKED_INPUT_MAX_BYTES = 1024 * 1024;
/**
 * What a schema and an input may have done for them, read and checked, in units of some 50 ns: 3 ms on a machine that does nothing else,
 * twice that where the code has not run before. A list of 17,000 numbers takes nearly all of it, and so does a pattern for the largest
 * text without escapes.
 */
export const CHECK_WORK_MAX = 54_000;
/** Calls in one another of a check: an input of 500 levels whose schema takes two for each. Each takes some 300 bytes of the stack. */
export const CHECK_DEPTH_MAX = 1_000;
/** Schemas that an isolate keeps as it walks them: the largest take 0.3 MB each, beside their texts, which their endpoints have. */
export const COMPILED_SCHEMAS_MAX = 32;
/** What is wrong with an input: more help nobody. */
export const PROBLEMS_MAX = 20;
/** Characters of a name, a pointer or a list of values in a message; a longer one is cut. */
export const SHOWN_MAX_CHARS = 200;
