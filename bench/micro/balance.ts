/**
 * What does choosing a peer cost, and how even are the shares?
 *
 * For each algorithm and number of peers: nanoseconds per choice, milliseconds to
 * build the algorithm's table, how far the busiest of the peers is above its
 * share of 100,000 keys, and how many of the keys move when one of ten peers leaves.
 *
 *     node --conditions=sluice-source bench/micro/balance.ts
 */
import { consistent } from '../../src/worker/balance/consistent.ts';
import { fnvHash } from '../../src/worker/balance/fnv-hash.ts';
import { maglev } from '../../src/worker/balance/maglev.ts';
import { random } from '../../src/worker/balance/random.ts';
import { roundRobin } from '../../src/worker/balance/round-robin.ts';
import type { Candidate, Selection } from '../../src/worker/balance/selection.ts';

const KEYS = Array.from({ length: 100_000 }, (_, nth) => `192.0.2.1:${nth}`);
const ROUNDS = 7;

const everybody = () => true;

const peersOf = (count: number): Candidate[] =>
  Array.from({ length: count }, (_, nth) => ({
    address: `10.0.${nth >> 8}.${nth & 255}:8080`,
    weight: 1,
    inFlight: 0,
    latencyUs: 0,
  }));

for (const selection of [roundRobin(), random(), consistent(), fnvHash(), maglev()]) {
  for (const count of [2, 10, 100, 1_000]) process.stdout.write(`${row(selection, count)}\n`);
}

function row(selection: Selection, count: number): string {
  const peers = peersOf(count);
  const before = performance.now();
  const picker = selection.build(peers);
  const buildMs = performance.now() - before;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (const key of KEYS) picker.pick(everybody, key);
    return ((performance.now() - start) * 1e6) / KEYS.length;
  });
  const median = rounds.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  const counts = new Map<string, number>();
  for (const key of KEYS) {
    const { address } = picker.pick(everybody, key)!;
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  const busiest = Math.max(...counts.values()) / (KEYS.length / count);
  return [
    selection.name.padEnd(12),
    `${count} peers`.padStart(11),
    `${median.toFixed(0)} ns`.padStart(8),
    `built in ${buildMs.toFixed(1)} ms`.padStart(18),
    `busiest ${busiest.toFixed(2)} of its share`,
    count === 10 && selection.byKey ? `${moved(selection)} % move when one leaves` : '',
  ]
    .join('  ')
    .trimEnd();
}

function moved(selection: Selection): string {
  const peers = peersOf(10);
  const [before, after] = [selection.build(peers), selection.build(peers.slice(0, 9))];
  const changed = KEYS.filter((key) => before.pick(everybody, key) !== after.pick(everybody, key));
  return ((changed.length / KEYS.length) * 100).toFixed(1);
}
