/** More connections than descriptors: some clients are turned away, and nothing else happens. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { eventually, get, rawPeer, startPeer, startSluice, type Sluice } from '../support/index.ts';

const OPEN_FILES = 80;
const CLIENTS = 200;

const config = (upstream: string) => `
  upstreams: { api: { peers: ['${upstream}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      limits: { max_connections: 10000 }
      routes:
        - { match: { path: /own }, respond: { status: 200, body: own } }
        - { upstream: api }
`;

interface Crowd {
  readonly sockets: readonly Socket[];
  /** Whom Sluice has closed the connection of. */
  readonly turnedAway: number;
  readonly received: string;
}

/** Clients that all ask at once, and stay. */
function crowd(t: TestContext, port: number, request: string): Crowd {
  let turnedAway = 0;
  let received = '';
  const sockets = Array.from({ length: CLIENTS }, () => {
    const socket = connect(port, '127.0.0.1', () => socket.write(request));
    t.after(() => socket.destroy());
    socket.on('data', (bytes) => (received += String(bytes)));
    socket.on('error', () => {});
    socket.on('close', () => (turnedAway += 1));
    return socket;
  });
  return {
    sockets,
    get turnedAway() {
      return turnedAway;
    },
    get received() {
      return received;
    },
  };
}

const openFiles = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

/** Seconds of processor time, from the kernel's ticks of 10 ms. */
function cpuSeconds(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11, 13).map(Number);
  return (user! + system!) / 100;
}

/** The worker has as many open files as it may, and does nothing about it. */
async function staysCalm(pid: number): Promise<void> {
  const before = cpuSeconds(pid);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const used = cpuSeconds(pid) - before;
  assert.ok(used < 0.2, `${used} s of processor time in one second without work`);
}

async function pidOf(sluice: Sluice): Promise<number> {
  const { workers, restarts } = await sluice.status();
  assert.equal(restarts, 0);
  return workers[0]!.pid;
}

const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

test('at the limit on open files new clients are turned away; then all is as before', async (t) => {
  const peer = await startPeer(t);
  const sluice = await startSluice(t, config(peer.address), { openFiles: OPEN_FILES });
  const pid = await pidOf(sluice);
  const before = openFiles(pid);

  const clients = crowd(t, sluice.port, GET('/own'));
  // One or two more, since libuv keeps a spare one for this case.
  const room = OPEN_FILES - before + 2;
  await eventually(
    async () => (clients.turnedAway >= CLIENTS - room ? true : undefined),
    'clients to be turned away',
  );
  assert.ok(clients.turnedAway < CLIENTS, 'those for whom there is room stay');
  assert.ok(openFiles(pid) >= OPEN_FILES - 2);
  await staysCalm(pid);
  const another = crowd(t, sluice.port, GET('/own'));
  await eventually(
    async () => (another.turnedAway === CLIENTS ? true : undefined),
    'another crowd to be turned away',
  );
  await staysCalm(pid);

  for (const socket of clients.sockets) socket.destroy();
  await eventually(
    async () => (openFiles(pid) <= before + 2 ? true : undefined),
    'the descriptors to be free again',
  );
  assert.equal((await sluice.get('/')).status, 200);
  assert.equal(await pidOf(sluice), pid, 'no worker was replaced');
});

test('without a descriptor for the peer a request is a 502, and later ones are not', async (t) => {
  const peer = await rawPeer(t);
  const sluice = await startSluice(t, config(peer.address), { openFiles: OPEN_FILES });
  const pid = await pidOf(sluice);
  const before = openFiles(pid);

  const clients = crowd(t, sluice.port, GET('/up'));
  await eventually(
    async () => (clients.turnedAway > 0 && clients.received !== '' ? true : undefined),
    'some to be turned away and some to be answered',
  );
  assert.match(clients.received, /^HTTP\/1\.1 502 /);
  assert.doesNotMatch(clients.received, /HTTP\/1\.1 (?!502 )/);
  await staysCalm(pid);

  for (const socket of clients.sockets) socket.resetAndDestroy();
  await eventually(
    async () => (openFiles(pid) <= before + 2 ? true : undefined),
    'the descriptors to be free again',
  );
  assert.equal((await get(sluice.port, '/own')).status, 200);
  assert.equal(await pidOf(sluice), pid, 'no worker was replaced');
});
