/** Both sides of the protocol over a real socket, and each side against scripted ones. */
import assert from 'node:assert/strict';
import { fstatSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, test, type TestContext } from 'node:test';
import { openLibc } from '../../../../src/shared/memory/libc.ts';
import { Channel } from '../../../../src/supervisor/handoff/channel.ts';
import { HandoffFailure } from '../../../../src/supervisor/handoff/failure.ts';
import { encodeFrame } from '../../../../src/supervisor/handoff/frames.ts';
import { handOver, type PredecessorParts } from '../../../../src/supervisor/handoff/predecessor.ts';
import { Succession, type SuccessorParts } from '../../../../src/supervisor/handoff/successor.ts';
import type { Inheritance, InheritedSockets } from '../../../../src/supervisor/inheritance.ts';
import { collectingLog } from '../../../support/collecting-log.ts';

const opened = openLibc();
const skip = 'unavailable' in opened && opened.unavailable;

const KEPT = [{ key: '127.0.0.1:80', sockets: 2 }];
const OWNER = `owner ${process.pid} ${JSON.stringify(KEPT)}`;
const claim = (succession: Succession, takeOver: () => unknown) =>
  succession.claim({ kept: KEPT, takeOver: () => void takeOver() });

const PLACE = { host: '127.0.0.1', port: 80 };

describe('a hand-off', { skip }, () => {
  if ('unavailable' in opened) return;
  const libc = opened;

  /** So many descriptors, of which one is a segment; closed by `close`. */
  function makeEstate(descriptors: number) {
    const fds = Array.from({ length: descriptors }, () => libc.createMemory('x', 8));
    const [segment, ...sockets] = fds as [number, ...number[]];
    const half = Math.ceil(sockets.length / 2);
    const estate: Inheritance = {
      sockets: [
        { key: '127.0.0.1:80', place: PLACE, fds: sockets.slice(0, half) },
        { key: 'unix:/a', place: { path: '/a', mode: 0o600 }, fds: sockets.slice(half) },
      ].filter(({ fds }) => fds.length > 0),
      segments: [{ name: 'metrics', layout: 2, size: 64, contents: '10/s', fd: segment }],
    };
    return { estate, close: () => closeAll(estate) };
  }
  function closeAll({ sockets, segments }: Inheritance) {
    for (const { fds } of sockets) for (const fd of fds) libc.close(fd);
    for (const { fd } of segments) libc.close(fd);
  }

  function predecessor(fd: number, estate: Inheritance, more: Partial<PredecessorParts> = {}) {
    const told: string[] = [];
    const log = collectingLog();
    const outcome = handOver({
      connect: async () => new Channel(libc, fd, 'the successor'),
      introduction: { release: '1.0.0', pid: 11, conf: 'conf.yaml', unit: undefined },
      estate: () => estate,
      acceptMs: 5_000,
      readyMs: 5_000,
      onOwner: (pid, kept) => told.push(`owner ${pid} ${JSON.stringify(kept)}`),
      onKept: () => told.push('kept'),
      abort: new AbortController().signal,
      log: log.log,
      ...more,
    });
    return { outcome, told, logged: log.lines };
  }

  function successor(fd: number, more: Partial<SuccessorParts> = {}) {
    const channels = [new Channel(libc, fd, 'the predecessor')];
    const log = collectingLog();
    const succession = new Succession({
      meetingPoint: {
        connection: async () => {
          const channel = channels.pop();
          if (channel === undefined) throw new HandoffFailure('lost', 'there is nobody else');
          return channel;
        },
        close: () => {},
      },
      close: (each) => libc.close(each),
      waitMs: 5_000,
      release: '1.1.0',
      judge: () => undefined,
      abort: new AbortController().signal,
      log: log.log,
      ...more,
    });
    return { succession, logged: log.lines };
  }

  /** A side that is told what to say and hears what it is told. */
  function script(fd: number) {
    const channel = new Channel(libc, fd, 'the script');
    const patience = { withinMs: 5_000, abort: new AbortController().signal };
    return {
      say: (message: object, fds: readonly number[] = []) => channel.send(message, fds, patience),
      async hear(kind: string) {
        const { message, descriptors } = await channel.receive(patience);
        channel.closeDescriptors(descriptors);
        assert.equal(message['kind'], kind, JSON.stringify(message));
        return message;
      },
      raw: (bytes: string | Buffer) => libc.sendBytes(fd, Buffer.from(bytes), []),
      close: () => channel.close(),
    };
  }

  for (const descriptors of [1, 2, 200, 201, 650]) {
    test(`of ${descriptors} descriptors hands over each of them, once, in order`, async (t) => {
      leakFree(t);
      const { estate, close } = makeEstate(descriptors);
      const [left, right] = libc.socketPair();
      const old = predecessor(left, estate);
      const { succession } = successor(right);

      const inherited = await succession.receive();
      assert.deepEqual(identities(inherited), identities(estate));
      assert.deepEqual(old.told, []);
      const order: string[] = [];
      await Promise.all([
        claim(succession, () => {
          assert.deepEqual(old.told, []);
          order.push('took over');
        }),
        old.outcome.then(({ kind }) => order.push(kind)),
      ]);

      assert.deepEqual(order.toSorted(), ['done', 'took over']);
      assert.deepEqual(old.told, [OWNER]);
      closeAll(inherited);
      close();
    });
  }

  test('is withdrawn before a process that is told to stop has ended', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(1);
    const [left, right] = libc.socketPair();
    const stop = new AbortController();
    const old = predecessor(left, estate, { abort: stop.signal });
    const next = script(right);
    await next.hear('offer');
    // By now it looks only now and then whether there is an answer.
    await sleep(100);

    stop.abort();
    await new Promise(setImmediate);

    const said = libc.receiveBytes(right);
    assert.match(typeof said === 'string' ? said : said.bytes.toString(), /withdraw/);
    assert.equal((await old.outcome).kind, 'refused');
    next.close();
    close();
  });

  test('ends with the predecessor serving on when the successor cannot start, and it says why', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(3);
    const [left, right] = libc.socketPair();
    const old = predecessor(left, estate);
    const { succession } = successor(right);

    closeAll(await succession.receive());
    await succession.giveUp('port 80 is taken');

    assert.deepEqual(await old.outcome, {
      kind: 'refused',
      reason: 'the successor: port 80 is taken',
    });
    assert.deepEqual(old.told, []);
    const line = old.logged.find(({ msg }) => msg === 'hand-off failed; serving on');
    assert.equal(line?.['state'], 'waiting');
    await assert.rejects(
      claim(succession, () => assert.fail()),
      /cannot happen while gave-up/,
    );
    close();
  });

  test('is refused by a successor that objects to the offer', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(1);
    const [left, right] = libc.socketPair();
    const old = predecessor(left, estate);
    const { succession } = successor(right, { judge: ({ conf }) => `not ${conf}` });

    await assert.rejects(succession.receive(), {
      name: 'HandoffFailure',
      message: 'not conf.yaml',
    });
    assert.deepEqual(await old.outcome, {
      kind: 'refused',
      reason: 'the successor: not conf.yaml',
    });
    close();
  });

  test('that takes too long is given up by the predecessor, and the successor hears of it', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(2);
    const [left, right] = libc.socketPair();
    const old = predecessor(left, estate, { readyMs: 50 });
    const { succession } = successor(right);

    closeAll(await succession.receive());
    const outcome = await old.outcome;
    assert.deepEqual(outcome, {
      kind: 'refused',
      reason: 'the successor did not answer within 50 ms',
    });
    if (!succession.withdrawn.aborted)
      await new Promise((resolve) => succession.withdrawn.addEventListener('abort', resolve));
    await assert.rejects(
      claim(succession, () => assert.fail()),
      { message: /did not answer within 50 ms/ },
    );
    close();
  });

  test('is given up when the predecessor is told to stop', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(2);
    const [left, right] = libc.socketPair();
    const stop = new AbortController();
    const old = predecessor(left, estate, { abort: stop.signal });
    const { succession } = successor(right);

    closeAll(await succession.receive());
    stop.abort();
    assert.equal((await old.outcome).kind, 'refused');
    await assert.rejects(
      claim(succession, () => assert.fail()),
      /this process is told to stop/,
    );
    close();
  });

  test('that fails once the successor was ready leaves the predecessor the main process', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(2);
    const [left, right] = libc.socketPair();
    const old = predecessor(left, estate);
    const { succession } = successor(right);

    closeAll(await succession.receive());
    const claimed = claim(succession, () => {
      throw new Error('cannot write pid_file /run/x.pid: EACCES');
    });
    await assert.rejects(claimed, /cannot write pid_file/);

    assert.deepEqual(await old.outcome, {
      kind: 'refused',
      reason: 'the successor: cannot write pid_file /run/x.pid: EACCES',
    });
    assert.deepEqual(old.told, ['kept']);
    close();
  });

  test('is refused for the reason why it failed, even if the pid file cannot be had back', async (t) => {
    leakFree(t);
    const { estate, close } = makeEstate(2);
    const [left, right] = libc.socketPair();
    const old = predecessor(left, estate, {
      onKept: () => {
        throw new Error('cannot write pid_file /run/x.pid: ENOSPC');
      },
    });
    const { succession } = successor(right);

    closeAll(await succession.receive());
    await assert.rejects(
      claim(succession, () => {
        throw new Error('made for the test');
      }),
    );

    assert.deepEqual(await old.outcome, {
      kind: 'refused',
      reason: 'the successor: made for the test',
    });
    const line = old.logged.find(({ msg }) => msg.startsWith('serving on without'));
    assert.equal(line?.['reason'], 'cannot write pid_file /run/x.pid: ENOSPC');
    close();
  });

  const ACCEPT = { kind: 'accept', version: 1, release: '9.9.9', pid: 99 };

  describe('with a successor that dies', () => {
    const until: readonly {
      step: string;
      play: (peer: ReturnType<typeof script>) => Promise<unknown>;
    }[] = [
      { step: 'before it hears anything', play: async () => {} },
      { step: 'when it was made an offer', play: (peer) => peer.hear('offer') },
      {
        step: 'when it has accepted',
        play: async (peer) => {
          await peer.hear('offer');
          await peer.say(ACCEPT);
        },
      },
      {
        step: 'when it has a batch',
        play: async (peer) => {
          await peer.hear('offer');
          await peer.say(ACCEPT);
          await peer.hear('batch');
          await peer.say({ kind: 'received', number: 1 });
          await peer.hear('batch');
        },
      },
      { step: 'while it starts', play: (peer) => upToReady(peer) },
      {
        step: 'as soon as it is ready',
        play: async (peer) => {
          await upToReady(peer);
          await peer.say({ kind: 'ready', kept: [] });
        },
      },
      {
        step: 'when it is to take over',
        play: async (peer) => {
          await upToReady(peer);
          await peer.say({ kind: 'ready', kept: [] });
          await peer.hear('take-over');
        },
      },
    ];
    async function upToReady(peer: ReturnType<typeof script>) {
      await peer.hear('offer');
      await peer.say(ACCEPT);
      for (const number of [1, 2]) {
        await peer.hear('batch');
        await peer.say({ kind: 'received', number });
      }
    }
    for (const { step, play } of until) {
      test(`${step}: the predecessor serves on`, async (t) => {
        leakFree(t);
        const { estate, close } = makeEstate(250);
        const [left, right] = libc.socketPair();
        const old = predecessor(left, estate);
        const peer = script(right);
        await play(peer);
        peer.close();

        assert.deepEqual(await old.outcome, { kind: 'refused', reason: 'the successor has ended' });
        close();
      });
    }
  });

  describe('with a predecessor that dies', () => {
    const OFFER = {
      kind: 'offer',
      versions: { oldest: 1, newest: 1 },
      release: '1',
      pid: 5,
      descriptors: 1,
    };
    const batch = (number: number, last: boolean) => ({
      kind: 'batch',
      number,
      last,
      items: [{ kind: 'segment', name: 'a', layout: 1, size: 8 }],
    });
    const memory = () => libc.createMemory('x', 8);
    async function sendAll(peer: ReturnType<typeof script>) {
      const fd = memory();
      await peer.say(OFFER);
      await peer.hear('accept');
      await peer.say(batch(1, true), [fd]);
      libc.close(fd);
      await peer.hear('received');
    }

    test('before it has offered anything: the successor is told that nobody is left', async (t) => {
      leakFree(t);
      const [left, right] = libc.socketPair();
      const { succession } = successor(right);
      libc.close(left);
      await assert.rejects(succession.receive(), /there is nobody else/);
    });

    test('in the middle of its batches: the successor gives up, and keeps nothing open', async (t) => {
      leakFree(t);
      const [left, right] = libc.socketPair();
      const { succession } = successor(right);
      const peer = script(left);
      const received = succession.receive();
      await peer.say(OFFER);
      await peer.hear('accept');
      const fd = memory();
      await peer.say(batch(1, false), [fd]);
      libc.close(fd);
      await peer.hear('received');
      peer.raw(encodeFrame(batch(2, true), 1).subarray(0, 20));
      peer.close();
      await assert.rejects(received, /the predecessor has ended in the middle of a message/);
    });

    for (const step of [
      'while the successor starts',
      'when the successor is ready',
      'when it was told to take over',
    ]) {
      test(`${step}: the successor takes over`, async (t) => {
        leakFree(t);
        const [left, right] = libc.socketPair();
        const { succession } = successor(right);
        const peer = script(left);
        const [inherited] = await Promise.all([succession.receive(), sendAll(peer)]);
        if (step === 'while the successor starts') peer.close();
        let taken = 0;
        const claimed = claim(succession, () => (taken += 1));
        if (step !== 'while the successor starts') await peer.hear('ready');
        if (step === 'when it was told to take over') {
          await peer.say({ kind: 'take-over' });
          await peer.hear('owner');
        }
        peer.close();
        await claimed;
        assert.equal(taken, 1);
        assert.equal(succession.withdrawn.aborted, false);
        closeAll(inherited);
      });
    }

    test('the successor serves on even if it cannot have the pid file', async (t) => {
      leakFree(t);
      const [left, right] = libc.socketPair();
      const { succession } = successor(right);
      const peer = script(left);
      const [inherited] = await Promise.all([succession.receive(), sendAll(peer)]);
      peer.close();

      await claim(succession, () => {
        throw new Error('ENOSPC: no space left on device');
      });
      closeAll(inherited);
    });

    test('and one that changes its mind after all is not a dead one', async (t) => {
      leakFree(t);
      const [left, right] = libc.socketPair();
      const { succession } = successor(right);
      const peer = script(left);
      const [inherited] = await Promise.all([succession.receive(), sendAll(peer)]);
      const claimed = claim(succession, () => {});
      await peer.hear('ready');
      await peer.say({ kind: 'take-over' });
      await peer.hear('owner');
      await peer.say({ kind: 'withdraw', reason: 'too late' });
      await assert.rejects(claimed, /the predecessor: too late/);
      peer.close();
      closeAll(inherited);
    });

    const breaches = [
      {
        name: 'the wrong number',
        send: batch(2, true),
        fds: 1,
        says: /expected batch 1 .* got batch 2/,
      },
      {
        name: 'an item without a descriptor',
        send: { ...batch(1, true), items: [] },
        fds: 1,
        says: /0 items and 1 descriptors/,
      },
      {
        name: 'another message',
        send: { kind: 'bye' },
        fds: 1,
        says: /expected "batch", got "bye"/,
      },
    ];
    for (const { name, send, fds, says } of breaches) {
      test(`${name} ends the hand-off; the predecessor hears why and nothing stays open`, async (t) => {
        leakFree(t);
        const [left, right] = libc.socketPair();
        const { succession } = successor(right);
        const peer = script(left);
        const received = assert.rejects(succession.receive(), says);
        await peer.say(OFFER);
        await peer.hear('accept');
        const open = Array.from({ length: fds }, memory);
        await peer.say(send, open);
        for (const fd of open) libc.close(fd);
        await received;
        assert.match(String((await peer.hear('refuse'))['reason']), says);
        peer.close();
      });
    }
  });

  describe('with a successor that breaks the protocol', () => {
    const cases = [
      {
        name: 'speaks another protocol',
        wire: 'HTTP/1.1 400 Bad Request\r\n\r\n',
        says: /expected "SLHO", got "HTTP"/,
      },
      {
        name: 'answers with another message',
        wire: encodeFrame({ kind: 'owner' }, 0),
        says: /expected "accept", got "owner"/,
      },
      {
        name: 'answers with nonsense',
        wire: encodeFrame({ kind: 'accept' }, 0),
        says: /version: expected a whole number/,
      },
    ];
    for (const { name, wire, says } of cases) {
      test(`one that ${name} is told so, and the predecessor serves on`, async (t) => {
        leakFree(t);
        const { estate, close } = makeEstate(1);
        const [left, right] = libc.socketPair();
        const old = predecessor(left, estate);
        const peer = script(right);
        await peer.hear('offer');
        peer.raw(wire);
        const outcome = await old.outcome;
        assert.equal(outcome.kind, 'refused');
        assert.match(outcome.kind === 'refused' ? outcome.reason : '', says);
        assert.match(String((await peer.hear('withdraw'))['reason']), says);
        peer.close();
        close();
      });
    }

    test('descriptors that a successor sends are closed', async (t) => {
      leakFree(t);
      const { estate, close } = makeEstate(1);
      const [left, right] = libc.socketPair();
      const old = predecessor(left, estate);
      const peer = script(right);
      await peer.hear('offer');
      await peer.say(ACCEPT, [1, 1]);
      const outcome = await old.outcome;
      assert.match(
        outcome.kind === 'refused' ? outcome.reason : '',
        /expected no descriptors, got 2/,
      );
      peer.close();
      close();
    });
  });

  test('waits on for the predecessor when something else knocks', async (t) => {
    leakFree(t);
    const pairs = [libc.socketPair(), libc.socketPair(), libc.socketPair()];
    const { estate, close } = makeEstate(1);
    const waiting = pairs.map(([, right]) => right);
    const { succession, logged } = successor(0, {
      meetingPoint: {
        connection: async () => new Channel(libc, waiting.shift()!, 'somebody'),
        close: () => {},
      },
    });
    libc.close(pairs[0]![0]); // Only looked whether somebody is there.
    libc.sendBytes(pairs[1]![0], Buffer.from('GET / HTTP/1.1\r\n\r\n'), []);
    const old = predecessor(pairs[2]![0], estate);

    const inherited = await succession.receive();
    await Promise.all([claim(succession, () => {}), old.outcome]);
    assert.equal(logged.filter(({ msg }) => msg === 'not an offer; waiting on').length, 1);
    libc.close(pairs[1]![0]);
    closeAll(inherited);
    close();
  });

  test('with a successor of a release that speaks no common version is refused by it', async (t) => {
    leakFree(t);
    const [left, right] = libc.socketPair();
    const { succession } = successor(right);
    const peer = script(left);
    const received = assert.rejects(
      succession.receive(),
      /speaks versions 7 to 9 of the hand-off and the successor version 1/,
    );
    await peer.say({
      kind: 'offer',
      versions: { oldest: 7, newest: 9 },
      release: '9',
      pid: 5,
      descriptors: 1,
    });
    await received;
    await peer.hear('refuse');
    peer.close();
  });
});

/** What each descriptor opens, under what it is handed over as. */
function identities({ sockets, segments }: Inheritance) {
  const inode = (fd: number) => fstatSync(fd).ino;
  const withInodes = ({ fds, ...rest }: InheritedSockets) => ({ ...rest, inodes: fds.map(inode) });
  return {
    sockets: sockets.map(withInodes),
    segments: segments.map(({ fd, ...rest }) => ({ ...rest, inode: inode(fd) })),
  };
}

function leakFree(t: TestContext): void {
  const before = readdirSync('/proc/self/fd').length;
  t.after(async () => {
    // Both ends hang up in their own time.
    for (let tries = 0; tries < 50 && readdirSync('/proc/self/fd').length !== before; tries++)
      await sleep(10);
    assert.equal(readdirSync('/proc/self/fd').length, before, 'descriptors left open');
  });
}
