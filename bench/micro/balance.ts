/**
 * What does choosing a peer cost, and how even are the shares?
 *
 * For each algorithm and number of peers: nanoseconds of CPU time per choice, milliseconds to
 * build the algorithm's table, how far the busiest of the peers is above its
 * share of 100,000 keys, and how many of the keys move when one of ten peers leaves.
 * Loads are read from the table of a fleet of 16 processes. With algorithms that go
 * by them each choice has a request under way until 64 later, and the time includes
 * its being counted.
 *
 *     node --conditions=sluice-source bench/micro/balance.ts
 */
import { PeerTable, peerTableSize } from '../../src/shared/memory/peer-table.ts';
import { createSegment } from '../../src/shared/memory/segment.ts';
import { monotonicNs } from '../../src/shared/time/clock.ts';
import { BalancedPeer } from '../../src/worker/balance/balanced-peer.ts';
import { consistent } from '../../src/worker/balance/consistent.ts';
import { ewma } from '../../src/worker/balance/ewma.ts';
import { fnvHash } from '../../src/worker/balance/fnv-hash.ts';
import { leastRequests } from '../../src/worker/balance/least-requests.ts';
import { maglev } from '../../src/worker/balance/maglev.ts';
import { p2c } from '../../src/worker/balance/p2c.ts';
import { random } from '../../src/worker/balance/random.ts';
import { roundRobin } from '../../src/worker/balance/round-robin.ts';
import type { Selection } from '../../src/worker/balance/selection.ts';
import { HttpPeer } from '../../src/worker/upstream/peer.ts';

const KEYS = Array.from({ length: 100_000 }, (_, nth) => `192.0.2.1:${nth}`);
const ROUNDS = 7;
const PROCESSES = 16;
const IN_FLIGHT = 64;

const everybody = () => true;

/** Of which all columns are taken: a sum reads them all. */
function newTable(): PeerTable {
  const size = peerTableSize(PROCESSES);
  const segment = createSegment({ name: 'peers', layout: 2, size }, undefined);
  for (let nth = 1; nth < PROCESSES; nth++) new PeerTable(segment).load.join();
  const table = new PeerTable(segment);
  table.load.join();
  return table;
}

function peersOf(count: number): BalancedPeer[] {
  const table = newTable();
  return Array.from({ length: count }, (_, nth) => {
    const address = `10.0.${nth >> 8}.${nth & 255}:8080`;
    const peer = new HttpPeer(address);
    const balanced = new BalancedPeer({
      peer,
      weight: 1,
      priority: 0,
      isTimed: true,
      outliers: undefined,
      gate: undefined,
    });
    const row = table.row('bench', address);
    balanced.sit(row, table, monotonicNs);
    table.load.took(row, 1_000 + (nth % 7) * 100, monotonicNs());
    return balanced;
  });
}

/** What is under way, in the order of its beginning. */
class Window {
  readonly #attempts: ReturnType<BalancedPeer['attempt']>[] = [];
  #next = 0;

  begin(peer: BalancedPeer): BalancedPeer {
    this.#attempts[this.#next]?.ended();
    this.#attempts[this.#next] = peer.attempt();
    this.#next = (this.#next + 1) % IN_FLIGHT;
    return peer;
  }
}

const BY_LOAD = [p2c(), leastRequests(), ewma()];

const ALL = [roundRobin(), random(), ...BY_LOAD, consistent(), fnvHash(), maglev()];
for (const selection of ALL) {
  for (const count of [2, 10, 100, 1_000]) process.stdout.write(`${row(selection, count)}\n`);
}

function row(selection: Selection, count: number): string {
  const peers = peersOf(count);
  const before = performance.now();
  const picker = selection.build(peers);
  const buildMs = performance.now() - before;
  const underWay = new Window();
  const choose = BY_LOAD.includes(selection)
    ? (key: string) => underWay.begin(picker.pick(everybody, key)!)
    : (key: string) => picker.pick(everybody, key)!;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const start = process.cpuUsage();
    for (const key of KEYS) choose(key);
    return (process.cpuUsage(start).user * 1_000) / KEYS.length;
  });
  const median = rounds.toSorted((a, b) => a - b)[ROUNDS >> 1]!;
  const counts = new Map<string, number>();
  for (const key of KEYS) {
    const { address } = choose(key);
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  const busiest = Math.max(...counts.values()) / (KEYS.length / count);
  return [
    selection.name.padEnd(14),
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
