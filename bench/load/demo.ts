/**
 * `npm run load`: load on the running demo, or on any address.
 *
 *     npm run load                                        what the demo's limit lets through
 *     npm run load -- --rate 0 --allow-status 429         as fast as it can, refusals included
 *     npm run load -- --connections 100 --duration 30
 *
 * Ends with 1 on errors, timeouts, requests whose connection was closed before
 * their answer, and answers other than 2xx. The load runs on the cores of the
 * gateway it measures: for figures to compare use `npm run bench -- http1`.
 */
import { connect } from 'node:net';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import autocannon, { type Result } from 'autocannon';
import { BenchFailure } from '../support/failure.ts';
import { asUsageFailure, wholeNumber } from '../support/options.ts';
import { Unanswered } from '../support/unanswered.ts';

/** Below the 10/s that the demo allows a client. */
const DEFAULT_RATE = 8;

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
  const { url, connections, duration, rate } = options;
  const pace = rate === 0 ? 'as fast as it can' : `${rate} requests/s in all`;
  process.stdout.write(
    `${url}: ${connections} connections, ${duration} s, ${pace}${rate === DEFAULT_RATE ? ' (the demo allows 10/s per client; --rate 0 for no limit)' : ''}\n\n`,
  );
  await requireListener(new URL(url));
  const outcome = await drive(options);
  process.stdout.write(report(outcome));
  return verdict(outcome, options);
}

function readOptions(): Options {
  const values = parsed();
  const rate = wholeNumber('rate', values.rate, 0, 1_000_000);
  const { protocol } = URL.parse(values.url) ?? {};
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new BenchFailure(`--url: expected an http or https address, got "${values.url}"`);
  }
  return {
    url: values.url,
    // autocannon shares the rate out: with more connections than requests per second some would get none.
    connections: Math.min(
      wholeNumber('connections', values.connections, 1, 10_000),
      rate === 0 ? Number.POSITIVE_INFINITY : rate,
    ),
    duration: wholeNumber('duration', values.duration, 1, 3_600),
    rate,
    pipelining: wholeNumber('pipelining', values.pipelining, 1, 1_000),
    key: values.key,
    allowed: values['allow-status'].map((status) => wholeNumber('allow-status', status, 100, 599)),
  };
}

function parsed() {
  try {
    return parseArgs({
      options: {
        url: { type: 'string', default: 'http://127.0.0.1:6188/' },
        connections: { type: 'string', default: '8' },
        duration: { type: 'string', default: '10' },
        rate: { type: 'string', default: String(DEFAULT_RATE) },
        pipelining: { type: 'string', default: '1' },
        key: { type: 'string', default: 'secret123' },
        'allow-status': { type: 'string', multiple: true, default: [] },
      },
    }).values;
  } catch (thrown) {
    throw asUsageFailure(thrown);
  }
}

/** Connects only: a request would spend from the allowance that is to be seen. */
function requireListener({ hostname, host, port, protocol }: URL): Promise<void> {
  const usual = protocol === 'https:' ? 443 : 80;
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? usual : Number(port),
      timeout: 5_000,
    });
    const fail = (reason: string) => {
      socket.destroy();
      const advice = 'start the demo with "npm start", or give --url';
      reject(new BenchFailure(`nothing listens at ${host} (${reason}): ${advice}`));
    };
    socket.on('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.on('timeout', () => fail('no answer within 5 s'));
    socket.on('error', (error: NodeJS.ErrnoException) => fail(error.code ?? error.message));
  });
}

interface Outcome {
  readonly result: Result;
  /** Microseconds. Our own: autocannon keeps whole milliseconds, and distorts them when it has a rate. */
  readonly latency: RecordableHistogram;
  readonly unanswered: number;
}

/** Ctrl-C ends it early, and what was measured until then is shown. */
async function drive(options: Options): Promise<Outcome> {
  const { url, connections, duration, pipelining, rate, key } = options;
  const latency = createHistogram({ lowest: 1, highest: 3_600_000_000, figures: 3 });
  const unanswered = new Unanswered(pipelining);
  const running = autocannon({
    url,
    connections,
    duration,
    pipelining,
    headers: { 'x-api-key': key },
    ...(rate > 0 && { overallRate: rate }),
    setupClient: (client) => unanswered.watch(client),
  });
  running.on('response', (_client: unknown, _status: number, _bytes: number, ms: number) =>
    latency.record(Math.max(1, Math.round(ms * 1000))),
  );
  const stop = () => running.stop();
  process.once('SIGINT', stop);
  const result = await running;
  process.off('SIGINT', stop);
  return { result, latency, unanswered: unanswered.count };
}

function report({ result, latency, unanswered }: Outcome): string {
  const { requests, throughput, errors, timeouts, ...rest } = result;
  const statuses = Object.entries(rest.statusCodeStats ?? {}).map(
    ([status, { count = 0 }]) => `${count} × ${status}`,
  );
  const percentiles = [50, 90, 99, 99.9, 100].map((percent) => {
    const name = percent === 100 ? 'max' : `p${percent}`;
    const ms = latency.count === 0 ? '-' : (latency.percentile(percent) / 1000).toFixed(2);
    return `${name} ${ms} ms`;
  });
  return (
    `throughput  ${requests.average.toFixed(1)} requests/s, ${(throughput.average / 1024).toFixed(1)} KiB/s\n` +
    `latency     ${percentiles.join(', ')}\n` +
    `answers     ${statuses.join(', ') || 'none'}\n` +
    `errors      ${errors} (${timeouts} of them timeouts)\n` +
    `cut         ${unanswered} (connection closed before the answer)\n` +
    `non-2xx     ${rest.non2xx}\n`
  );
}

/** @returns exit code */
function verdict({ result, unanswered }: Outcome, { url, allowed }: Options): number {
  const complaints: string[] = [];
  if (result.errors > 0) complaints.push(`${result.errors} requests failed`);
  if (unanswered > 0) complaints.push(`${unanswered} requests were cut`);
  if (result.requests.total === 0) complaints.push(`nothing answered at ${url}`);
  for (const [status, { count = 0 }] of Object.entries(result.statusCodeStats ?? {})) {
    if (status.startsWith('2') || allowed.includes(Number(status))) continue;
    complaints.push(`${count} answers were ${status}; --allow-status ${status} if that is meant`);
  }
  for (const complaint of complaints) process.stderr.write(`\n${complaint}\n`);
  return complaints.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  if (!(thrown instanceof BenchFailure)) throw thrown;
  process.stderr.write(`${thrown.message}\n`);
  process.exitCode = 1;
}
