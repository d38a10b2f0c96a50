/**
 * One run of `wrk`: as many requests as a server answers, all alike, for a given
 * time.
 *
 * wrk costs little CPU and waits for each answer before it asks again: its
 * latencies are those of a loaded server, and a stall shows up once, not for
 * every request that would have come meanwhile.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BenchFailure } from './failure.ts';
import { pinned, requireProgram } from './pin.ts';

/** What is asked for, again and again. */
export interface Request {
  readonly path: string;
  /** Besides `Host`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** With a body, it is a POST. */
  readonly bodyBytes?: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly request: Request;
  readonly connections: number;
  readonly seconds: number;
  readonly core: number;
  /** For wrk's script; who gives it removes it. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

export interface LoadResult {
  /** Answered, whatever the status. */
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Failed connects, reads and writes, and answers later than wrk's 2 s. */
  readonly socketErrors: number;
  /** Answers of 400 and above. */
  readonly badStatus: number;
}

/** wrk's own text rounds to three digits and changes units; this gives the plain numbers, in microseconds. */
const REPORT = `
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'REPORT %d %d %d %d %d %d\\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.timeout, errors.status))
end
`;
const REPORTED = /^REPORT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$/m;

/** @throws {BenchFailure} wrk is missing or failed */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const { port, request, connections, seconds, core, folder, signal } = options;
  const script = join(folder, 'wrk.lua');
  writeFileSync(script, sending(request) + REPORT);
  const wrk = requireProgram('wrk', 'wrk');
  const url = `http://127.0.0.1:${port}${request.path}`;
  const args = ['-t', '1', '-c', String(connections), '-d', `${seconds}s`, '-s', script, url];
  return parseReport(await output(...pinned([core], wrk, args), signal));
}

function sending({ headers = {}, bodyBytes }: Request): string {
  const fields = Object.entries(headers).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}\n`,
  );
  const body = `wrk.method = "POST"\nwrk.body = string.rep("x", ${bodyBytes})\n`;
  return fields.join('') + (bodyBytes === undefined ? '' : body);
}

/** @throws {BenchFailure} the output has no report in it */
export function parseReport(text: string): LoadResult {
  const numbers = REPORTED.exec(text)?.slice(1).map(Number);
  if (numbers === undefined) throw new BenchFailure(`wrk failed: ${text.trim()}`);
  const [requests = 0, us = 0, p50 = 0, p99 = 0, socketErrors = 0, badStatus = 0] = numbers;
  return {
    requests,
    seconds: us / 1e6,
    p50Ms: p50 / 1e3,
    p99Ms: p99 / 1e3,
    socketErrors,
    badStatus,
  };
}

/** What a command printed, both streams together. */
export function output(command: string, args: string[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    let text = '';
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], signal });
    const keep = (piece: Buffer) => {
      text += piece.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => reject(signal.aborted ? signal.reason : error));
    child.on('close', () => resolve(text));
  });
}
