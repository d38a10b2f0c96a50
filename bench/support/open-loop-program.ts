/**
 * The process that sends for `open-loop.ts`.
 *
 *     node bench/support/open-loop-program.ts '{"port":8080,"connections":64,"rate":20000,"seconds":3}'
 *
 * Timers of Node.js are a millisecond wide, and at tens of thousands of requests
 * per second that would make bursts. So the loop sleeps by itself, for as long
 * as nothing is due but never longer than 0.1 ms, because it is deaf meanwhile.
 */
import { connect, type Socket } from 'node:net';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { answerLength } from './answers.ts';
import type { OpenLoopOptions, OpenLoopResult } from './open-loop.ts';

const REQUEST = 'GET / HTTP/1.1\r\nHost: bench\r\n\r\n';
const LONGEST_SLEEP_MS = 0.1;
/** Before it counts: until its code is compiled it could not keep up, and that would be seen for seconds. */
const WARMING_MS = 1_000;
/** For what is still on its way when the time is up. */
const ENDING_MS = 2_000;

interface Client {
  readonly socket: Socket;
  /** When the request that it carries was due. */
  dueAt: number;
  /** What has come of the answer. */
  text: string;
}

const { port, connections, rate, seconds } = JSON.parse(process.argv[2] ?? '{}') as OpenLoopOptions;
const latencyUs = openHistogram();
const latenessUs = openHistogram();
const idle: Client[] = [];
/** Due times of requests that no connection is free for; it is as long as the run at most. */
const waiting: number[] = [];
let served = 0;
let asked = 0;
let answered = 0;

await Promise.all(Array.from({ length: connections }, open));
await sendFor(WARMING_MS);
if (answered !== asked) fail(new Error('the server did not keep up while warming up'));
latencyUs.reset();
latenessUs.reset();
[asked, answered] = [0, 0];
await sendFor(seconds * 1_000);
report();
process.exit();

function openHistogram() {
  return createHistogram({ lowest: 1, highest: 60_000_000, figures: 3 });
}

/** With one request that does not count, so that both sides have their connections. */
function open(): Promise<void> {
  return new Promise((resolve) => {
    // Not `data` events: they cost more, and the load must not be what everybody waits for.
    const onread = {
      buffer: Buffer.allocUnsafe(16 * 1_024),
      callback(bytes: number, buffer: Uint8Array) {
        receive(client, (buffer as Buffer).toString('latin1', 0, bytes));
        resolve();
        return true;
      },
    };
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread });
    const client: Client = { socket, dueAt: 0, text: '' };
    socket.on('error', fail);
    socket.on('close', () => fail(new Error('the server closed a connection')));
    asked += 1;
    send(client, performance.now());
  });
}

function fail({ message }: Error): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function send(client: Client, dueAt: number): void {
  client.dueAt = dueAt;
  client.text = '';
  client.socket.write(REQUEST);
}

function receive(client: Client, text: string): void {
  client.text += text;
  const length = answerLength(client.text);
  if (length === undefined || client.text.length < length) return;
  answered += 1;
  record(latencyUs, client.dueAt);
  const next = waiting[served];
  if (next === undefined) {
    idle.push(client);
  } else {
    served += 1;
    send(client, next);
  }
}

/** Resolves once all of them are answered, or should be. */
function sendFor(ms: number): Promise<void> {
  let dueAt = performance.now();
  const endAt = dueAt + ms;
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  return new Promise((resolve) => {
    setImmediate(turn);

    function turn(): void {
      const now = performance.now();
      for (; dueAt <= now && dueAt < endAt; dueAt += gapMs()) ask(dueAt);
      const isOver = dueAt >= endAt && answered === asked;
      if (isOver || now > endAt + ENDING_MS) return resolve();
      const free = Math.min(dueAt - performance.now(), LONGEST_SLEEP_MS);
      if (free > 0) Atomics.wait(sleeping, 0, 0, free);
      setImmediate(turn);
    }
  });
}

/** Until the next request of many independent users (a Poisson process). */
function gapMs(): number {
  return (-Math.log(1 - Math.random()) / rate) * 1_000;
}

function ask(dueAt: number): void {
  asked += 1;
  record(latenessUs, dueAt);
  const client = idle.pop();
  if (client === undefined) waiting.push(dueAt);
  else send(client, dueAt);
}

function record(histogram: RecordableHistogram, since: number): void {
  histogram.record(Math.max(1, Math.round((performance.now() - since) * 1_000)));
}

function report(): void {
  const result: OpenLoopResult = {
    answered,
    unanswered: asked - answered,
    p50Ms: latencyUs.percentile(50) / 1_000,
    p99Ms: latencyUs.percentile(99) / 1_000,
    p999Ms: latencyUs.percentile(99.9) / 1_000,
    lateP99Ms: latenessUs.percentile(99) / 1_000,
  };
  process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
}
