/**
 * The clock of every shared table: CLOCK_MONOTONIC in nanoseconds, the same for
 * all processes of the host, and never set back. As a double it is exact to the
 * nanosecond for the first 104 days of uptime and to 2 ns for the next 104.
 */
export type Clock = () => number;

export function monotonicNs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e9 + nanoseconds;
}
