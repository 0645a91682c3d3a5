// The release of the worker, as it names itself in its calls and errors.
export const RELEASE = "0.1.0";
