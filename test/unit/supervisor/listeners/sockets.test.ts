import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import type { ListenAddress } from '../../../../src/shared/ipc/plan.ts';
import { openLibc, type Libc } from '../../../../src/shared/memory/libc.ts';
import {
  addressKeys,
  ListeningSockets,
  type GenerationSockets,
} from '../../../../src/supervisor/listeners/sockets.ts';

const libc = openLibc();
const skip = 'unavailable' in libc && libc.unavailable;

const anywhere: ListenAddress = {
  service: 'edge',
  place: { host: '127.0.0.1', port: 0 },
  tls: undefined,
};

describe('listening sockets', { skip }, () => {
  const system = libc as Libc;

  test('refuse connections until their generation listens', async (t) => {
    const sockets = opened(t);
    const generation = sockets.prepare([anywhere], 2);
    const port = portOf(generation);
    await assert.rejects(connected(t, port), { code: 'ECONNREFUSED' });

    generation.listen();

    await connected(t, port);
  });

  test('of a generation that is given up are closed, and those of others stay', async (t) => {
    const sockets = opened(t);
    const first = sockets.prepare([anywhere], 1);
    first.listen();
    const given = sockets.prepare([anywhere, { ...anywhere, service: 'other' }], 3);
    const [, other] = given.grant(0);

    given.undo();

    await assert.rejects(connected(t, (other!.place as { port: number }).port));
    await connected(t, portOf(first));
    assert.deepEqual(
      sockets.inventory.map(({ fds }) => fds.length),
      [1],
    );
  });

  test('are closed once, also when a generation is given up after them', (t) => {
    const sockets = opened(t);
    const generation = sockets.prepare([anywhere], 2);

    sockets.close();

    assert.doesNotThrow(() => generation.undo());
    assert.deepEqual(sockets.inventory, []);
  });

  test('go on with a successor that gets their descriptors', async (t) => {
    const old = opened(t);
    const before = old.prepare([anywhere], 2);
    before.listen();
    const port = portOf(before);
    const passed = old.inventory.map(({ fds, ...rest }) => ({
      ...rest,
      fds: fds.map((fd) => system.dup(fd)),
    }));

    const successor = new ListeningSockets(system, passed);
    t.after(() => successor.close());
    const after = successor.prepare([anywhere], 2);
    after.listen();
    successor.retain(after);
    old.leave();

    assert.equal(portOf(after), port);
    await connected(t, port);
  });

  test('spread connections evenly, whatever ports they come from', async (t) => {
    const sockets = opened(t);
    const generation = sockets.prepare([anywhere], 4);
    generation.listen();
    const accepted = await acceptOn(t, generation, 4);

    await connectMany(portOf(generation), 4_000);

    // Five standard deviations of a fair spread, in which one run of 10,000 trips.
    for (const [slot, count] of accepted.entries())
      assert.ok(Math.abs(count - 1_000) < 5 * Math.sqrt(750), `slot ${slot}: ${count} of 4000`);
  });

  test('that stay get all connections once others are given up', async (t) => {
    const sockets = opened(t);
    const four = sockets.prepare([anywhere], 4);
    four.listen();
    const port = portOf(four);
    const accepted = await acceptOn(t, four, 4);

    const two = sockets.prepare([anywhere], 2);
    two.listen();
    sockets.retain(two);
    await connectMany(port, 400);

    assert.deepEqual(accepted.slice(2), [0, 0]);
    assert.equal(accepted[0]! + accepted[1]!, 400);
    assert.ok(Math.min(accepted[0]!, accepted[1]!) > 100);
  });

  test('of a successor that gives up take no connection more, even before they are closed', async (t) => {
    const old = opened(t);
    const one = old.prepare([anywhere], 1);
    one.listen();
    const port = portOf(one);
    const passed = old.inventory.map(({ fds, ...rest }) => ({
      ...rest,
      fds: fds.map((fd) => system.dup(fd)),
    }));
    const successor = new ListeningSockets(system, passed);
    const three = successor.prepare([anywhere], 3);
    three.listen();
    const accepted = await acceptOn(t, three, 3);

    successor.leave();
    await connectMany(port, 160);

    assert.deepEqual(accepted, [160, 0, 0]);
  });

  test('that are added share the connections with those that were left, once those that were given up are gone', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const sockets = opened(t);
    const three = sockets.prepare([anywhere], 3);
    three.listen();
    const port = portOf(three);
    const one = sockets.prepare([anywhere], 1);
    one.listen();
    sockets.retain(one);
    const two = sockets.prepare([anywhere], 2);
    two.listen();
    sockets.retain(two);
    const accepted = await acceptOn(t, two, 2);

    await connectMany(port, 400);
    assert.deepEqual(accepted, [400, 0]);
    t.mock.timers.tick(5_000);
    await connectMany(port, 400);

    assert.equal(accepted[0]! + accepted[1]!, 800);
    assert.ok(Math.min(accepted[0]! - 400, accepted[1]!) > 100, accepted.join(' and '));
  });
});

test('addresses are named as they are written, and those of the system’s choice by their order', () => {
  const unix: ListenAddress = { ...anywhere, place: { path: '/run/a.sock', mode: 0o600 } };

  assert.deepEqual(addressKeys([anywhere, unix, { ...anywhere, service: 'other' }]), [
    '127.0.0.1:0',
    'unix:/run/a.sock',
    '127.0.0.1:0 (2)',
  ]);
});

function opened(t: TestContext): ListeningSockets {
  const sockets = new ListeningSockets(libc as Libc);
  t.after(() => sockets.close());
  return sockets;
}

function portOf(generation: GenerationSockets): number {
  const [grant] = generation.grant(0);
  (libc as Libc).close(grant!.fd!);
  return (grant!.place as { port: number }).port;
}

function connected(t: TestContext, port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  t.after(() => socket.destroy());
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Accepts as workers would, and counts by slot. */
async function acceptOn(
  t: TestContext,
  generation: GenerationSockets,
  slots: number,
): Promise<number[]> {
  const accepted = Array.from({ length: slots }, () => 0);
  for (let slot = 0; slot < slots; slot++) {
    const server: Server = createServer((socket) => {
      accepted[slot]! += 1;
      socket.on('error', () => {});
      socket.end();
      socket.resume();
    });
    const [grant] = generation.grant(slot);
    await new Promise<void>((resolve) => server.listen({ fd: grant!.fd! }, resolve));
    t.after(() => server.close());
  }
  return accepted;
}

/** One after the other on each of some lines; a connection is done when the other side has closed it. */
async function connectMany(port: number, count: number): Promise<void> {
  const lines = 16;
  const one = () =>
    new Promise<void>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port });
      socket.resume();
      socket.on('error', reject);
      socket.on('close', () => resolve());
    });
  const line = async () => {
    for (let at = 0; at < count / lines; at++) await one();
  };
  await Promise.all(Array.from({ length: lines }, line));
}
