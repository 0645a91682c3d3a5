// What a broker has cost since its object started: one meter for all of its calls, messages, alarms and rows, because they are
// its bill. The tests that bound costs read it.

export class Meter {
  /** Calls that were answered. */
  calls = 0;
  /** Wake-ups sent through a queue. */
  messages = 0;
  /** Calls of setAlarm: each is a billed row. */
  alarmsSet = 0;
  rowsRead = 0;
  rowsWritten = 0;
}
