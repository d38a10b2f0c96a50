import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createLog } from '../../../../src/shared/log/log.ts';
import type { ListenAddress } from '../../../../src/shared/ipc/plan.ts';
import type { Inheritance } from '../../../../src/supervisor/inheritance.ts';
import { DescriptorStore, inheritPassed } from '../../../../src/supervisor/systemd/kept.ts';

const log = createLog({ level: 'error', destination: '/dev/null', name: 'supervisor' });

const listen: ListenAddress[] = [
  { service: 'edge', place: { host: '127.0.0.1', port: 80 }, tls: undefined },
  { service: 'edge', place: { host: '::1', port: 80 }, tls: undefined },
  { service: 'inner', place: { path: '/nonexistent/inner.sock', mode: 0o660 }, tls: undefined },
];

/** A service manager's memory: names and descriptors. */
function keeper() {
  const kept = new Map<string, number>();
  const told: string[] = [];
  return {
    kept,
    told,
    store(name: string, [fd = -1]: readonly number[]) {
      kept.set(name, fd);
      told.push(`+${name}`);
    },
    unstore(name: string) {
      kept.delete(name);
      told.push(`-${name}`);
    },
  };
}

/** Descriptors that are what `places` says; `closed` is what was let go. */
function descriptors(
  places: Readonly<Record<number, { host: string; port: number } | { path: string }>>,
) {
  const closed: number[] = [];
  return {
    closed,
    libc: {
      listeningPlace: (fd: number) => places[fd],
      close: (fd: number) => void closed.push(fd),
    },
  };
}

const place = { host: '127.0.0.1', port: 80 };
const inventory: Inheritance = {
  sockets: [{ key: '127.0.0.1:80', place, fds: [10, 11, 12] }],
  segments: [
    { name: 'limit:edge/0', layout: 2, size: 4_096, contents: '10 per 1000 ms, burst 20', fd: 20 },
    { name: 'peers', layout: 1, size: 128, fd: 21 },
    { name: 'metrics', layout: 1, size: 64, fd: 22 },
  ],
};

describe('what the service manager keeps', () => {
  test('comes back as what it was, in the order of the slots; figures begin anew', () => {
    const manager = keeper();
    new DescriptorStore(manager, []).keep(inventory);
    const { libc, closed } = descriptors({ 10: place, 11: place, 12: place });
    // It gives them back in whatever order it likes.
    const passed = [...manager.kept].map(([name, fd]) => ({ name, fd })).toReversed();

    const found = inheritPassed(passed, { listen, libc, log });

    const [limits, peers] = inventory.segments;
    assert.deepEqual(found, { sockets: inventory.sockets, segments: [peers, limits] });
    assert.deepEqual(closed, []);
  });

  test('is told only what has changed', () => {
    const manager = keeper();
    const store = new DescriptorStore(manager, []);
    store.keep(inventory);
    manager.told.length = 0;

    store.keep(inventory);
    assert.deepEqual(manager.told, []);
    store.keep({ ...inventory, sockets: [{ key: '127.0.0.1:80', place, fds: [10, 13] }] });

    const name = (slot: number) => `sluice.socket,${slot},127.0.0.1%3A80`;
    assert.deepEqual(manager.told, [`-${name(2)}`, `-${name(1)}`, `+${name(1)}`]);
  });

  test('has no name that systemd would refuse', () => {
    const manager = keeper();
    const key = `unix:/${'x'.repeat(300)}`;
    new DescriptorStore(manager, []).keep({
      sockets: [...inventory.sockets, { key, place: { path: key, mode: 0 }, fds: [30] }],
      segments: inventory.segments,
    });

    for (const name of manager.kept.keys()) assert.match(name, /^[\x21-\x39\x3b-\x7e]{1,255}$/);
    assert.ok(![...manager.kept.values()].includes(30));
  });
});

describe('what the service manager passes', () => {
  const cases = [
    {
      name: 'an address of the configuration',
      fdName: 'x',
      at: { host: '::1', port: 80 },
      key: '[::1]:80',
    },
    {
      name: 'the name of a service',
      fdName: 'edge',
      at: { host: '10.0.0.1', port: 8_080 },
      key: '127.0.0.1:80',
    },
    { name: 'neither', fdName: 'x', at: { host: '127.0.0.1', port: 81 }, key: undefined },
    { name: 'no listening socket', fdName: 'edge', at: undefined, key: undefined },
    {
      name: 'a Unix socket whose file is gone',
      fdName: 'x',
      at: { path: '/nonexistent/inner.sock' },
      key: undefined,
    },
  ];
  for (const { name, fdName, at, key } of cases) {
    test(`${key === undefined ? 'is closed' : 'is taken'} if it has ${name}`, () => {
      const { libc, closed } = descriptors(at === undefined ? {} : { 5: at });

      const found = inheritPassed([{ name: fdName, fd: 5 }], { listen, libc, log });

      assert.deepEqual(
        found?.sockets.map((sockets) => sockets.key),
        key === undefined ? undefined : [key],
      );
      assert.deepEqual(closed, key === undefined ? [5] : []);
    });
  }
});
