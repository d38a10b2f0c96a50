/**
 * `npm run load`: load on the running demo, or on any address.
 *
 *     npm run load                                        what the demo's limit lets through
 *     npm run load -- --rate 0 --allow-status 429         as fast as it can, refusals included
 *     npm run load -- --connections 100 --duration 30
 *
 * Ends with 1 on errors, timeouts and answers other than 2xx.
 */
import { parseArgs } from 'node:util';
import autocannon, { type Result } from 'autocannon';

interface Options {
  readonly url: string;
  readonly connections: number;
  /** Seconds. */
  readonly duration: number;
  /** Requests per second in all; 0: as many as it can. */
  readonly rate: number;
  readonly pipelining: number;
  readonly key: string;
  /** Statuses that are no failure, besides 2xx. */
  readonly allowed: readonly number[];
}

async function main(): Promise<number> {
  const options = readOptions();
  const { url, connections, duration, rate, pipelining } = options;
  const pace = rate === 0 ? 'as fast as it can' : `${rate} requests/s in all`;
  process.stdout.write(
    `${url}: ${connections} connections, ${duration} s, ${pace}${rate === DEFAULT_RATE ? ' (the demo allows 10/s per client; --rate 0 for no limit)' : ''}\n\n`,
  );
  const result = await autocannon({
    url,
    connections,
    duration,
    pipelining,
    headers: { 'x-api-key': options.key },
    ...(rate > 0 && { overallRate: rate }),
  });
  process.stdout.write(report(result));
  return verdict(result, options);
}

const DEFAULT_RATE = 8;

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      url: { type: 'string', default: 'http://127.0.0.1:6188/' },
      connections: { type: 'string', default: '8' },
      duration: { type: 'string', default: '10' },
      rate: { type: 'string', default: String(DEFAULT_RATE) },
      pipelining: { type: 'string', default: '1' },
      key: { type: 'string', default: 'secret123' },
      'allow-status': { type: 'string', multiple: true, default: [] },
    },
  });
  const rate = number('rate', values.rate, 0);
  return {
    url: values.url,
    // autocannon shares the rate out: with more connections than requests per second some would get none.
    connections: Math.min(
      number('connections', values.connections, 1),
      rate === 0 ? Number.POSITIVE_INFINITY : rate,
    ),
    duration: number('duration', values.duration, 1),
    rate,
    pipelining: number('pipelining', values.pipelining, 1),
    key: values.key,
    allowed: values['allow-status'].map((status) => number('allow-status', status, 100)),
  };
}

function number(name: string, given: string, least: number): number {
  const value = Number(given);
  if (Number.isInteger(value) && value >= least) return value;
  throw new UsageError(`--${name}: expected a whole number from ${least}, got "${given}"`);
}

class UsageError extends Error {}

function report({ requests, throughput, latency, errors, timeouts, ...rest }: Result) {
  const statuses = Object.entries(rest.statusCodeStats ?? {}).map(
    ([status, { count = 0 }]) => `${count} × ${status}`,
  );
  const { p50, p90, p99, p99_9: p999, max } = latency;
  const percentiles = Object.entries({ p50, p90, p99, 'p99.9': p999, max }).map(
    ([name, ms]) => `${name} ${ms} ms`,
  );
  return (
    `throughput  ${requests.average.toFixed(1)} requests/s, ${(throughput.average / 1024).toFixed(1)} KiB/s\n` +
    `latency     ${percentiles.join(', ')}\n` +
    `answers     ${statuses.join(', ') || 'none'}\n` +
    `errors      ${errors} (${timeouts} of them timeouts)\n` +
    `non-2xx     ${rest.non2xx}\n`
  );
}

function verdict(result: Result, { url, allowed }: Options): number {
  const unwanted = Object.entries(result.statusCodeStats ?? {}).filter(
    ([status]) => !status.startsWith('2') && !allowed.includes(Number(status)),
  );
  if (result.requests.total === 0) {
    process.stderr.write(`\nnothing answered at ${url}: start the demo with "npm start"\n`);
    return 1;
  }
  if (result.errors > 0) process.stderr.write(`\n${result.errors} requests failed\n`);
  for (const [status, { count = 0 }] of unwanted) {
    process.stderr.write(
      `\n${count} answers were ${status}; --allow-status ${status} if that is meant\n`,
    );
  }
  return result.errors > 0 || unwanted.length > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!(thrown instanceof UsageError)) throw thrown;
  process.stderr.write(`${thrown.message}\n`);
  process.exitCode = 1;
}
