/** Requests that are sent to a peer behind others, where its upstream asks for that. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { eventually, rawClient, rawPeer, startSluice } from '../../support/index.ts';
import type { RawClient, RawPeer } from '../../support/raw.ts';
import type { Sluice } from '../../support/sluice.ts';

const gatewayTo = (address: string, depth: number) => `
  upstreams: { api: { peers: ['${address}'], pool: { pipelining: ${depth} } } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

const answer = (text: string, more = '') =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n${more}\r\n${text}`;
const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('requests to a peer that takes several at once', () => {
  test('share a connection, and each client gets its own answer', async (t) => {
    const { sluice, upstream } = await start(t);

    const clients = await ask(t, sluice, upstream, ['/one', '/two', '/three']);
    upstream.send(answer('1') + answer('2').slice(0, 30));
    assert.match(await clients[0]!.receives(/\r\n\r\n1/), /^HTTP\/1\.1 200 OK/);
    upstream.send(answer('2').slice(30) + answer('3'));

    assert.match(await clients[1]!.receives(/\r\n\r\n2/), /^HTTP\/1\.1 200 OK/);
    assert.match(await clients[2]!.receives(/\r\n\r\n3/), /^HTTP\/1\.1 200 OK/);
  });

  test('wait for the first answer on a new connection, which may not stay open', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 4), { threads: 1 });
    const first = await rawClient(t, sluice.port);
    first.send(request('/first'));
    await (await peer.nextConnection()).receives(/first/);

    const second = await rawClient(t, sluice.port);
    second.send(request('/second'));

    await (await peer.nextConnection()).receives(/second/);
  });

  test('are no more than the configuration says; the next one gets another connection', async (t) => {
    const { sluice, peer, upstream } = await start(t, 2);
    await ask(t, sluice, upstream, ['/one', '/two']);

    const third = await rawClient(t, sluice.port);
    third.send(request('/three'));

    await (await peer.nextConnection()).receives(/three/);
    assert.doesNotMatch(upstream.received, /three/);
  });

  test('do not stand behind a POST, nor a POST behind them', async (t) => {
    const { sluice, peer, upstream } = await start(t);
    await ask(t, sluice, upstream, ['/one']);

    const post = await rawClient(t, sluice.port);
    post.send('POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
    const second = await peer.nextConnection();
    await second.receives(/form[^]*\r\n\r\nhi/);
    upstream.send(answer('1'));
    second.send(answer('posted'));
    assert.match(await post.receives(/posted/), /^HTTP\/1\.1 200 OK/);

    assert.doesNotMatch(upstream.received, /form/);
  });

  test('get the right answers after a client in the middle has left', async (t) => {
    const { sluice, upstream } = await start(t);
    const [one, two, three] = await ask(t, sluice, upstream, ['/one', '/two', '/three']);

    two!.socket.resetAndDestroy();
    await clientLeft(sluice);
    upstream.send(answer('1') + answer('2') + answer('3'));

    assert.match(await one!.receives(/\r\n\r\n1/), /^HTTP\/1\.1 200 OK/);
    assert.match(await three!.receives(/\r\n\r\n3/), /^HTTP\/1\.1 200 OK/);
  });

  test('get the right answers after the client of the current one has left in the middle of it', async (t) => {
    const { sluice, upstream } = await start(t);
    const [one, two] = await ask(t, sluice, upstream, ['/one', '/two']);
    upstream.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo');
    await one!.receives(/bo/);

    one!.socket.resetAndDestroy();
    await clientLeft(sluice);
    upstream.send(`dy${answer('2')}`);

    assert.match(await two!.receives(/\r\n\r\n2/), /^HTTP\/1\.1 200 OK/);
  });

  const ends = [
    { name: 'the connection ends', sent: '', closes: true },
    {
      name: 'the peer says it will close',
      sent: answer('1', 'Connection: close\r\n'),
      closes: false,
    },
    { name: 'the peer sends what is no answer', sent: `${answer('1')}nonsense`, closes: false },
  ];
  for (const { name, sent, closes } of ends) {
    test(`are sent again, each by itself, when ${name}`, async (t) => {
      const { sluice, peer, upstream } = await start(t);
      const clients = await ask(t, sluice, upstream, ['/one', '/two', '/three']);

      upstream.send(sent);
      if (closes) upstream.socket.end();

      const again = closes ? clients : clients.slice(sent.includes('nonsense') ? 2 : 1);
      for (let nth = 0; nth < again.length; nth++) {
        const fresh = await peer.nextConnection();
        const seen = await fresh.receives(/\r\n\r\n/);
        assert.equal(seen.match(/GET/g)?.length, 1);
        fresh.send(answer(/GET (\/\w+)/.exec(seen)![1]!));
      }
      const paths = ['/one', '/two', '/three'].slice(-again.length);
      for (const [nth, client] of again.entries()) {
        assert.match(await client.receives(/\r\n\r\n\/\w+/), new RegExp(`\r\n\r\n${paths[nth]}$`));
      }
      if (sent.includes('nonsense')) assert.match(await clients[1]!.receives(/\r\n\r\n/), / 502 /);
    });
  }
});

async function clientLeft(sluice: Sluice): Promise<void> {
  const series = 'sluice_errors_total{service="edge",code="downstream/closed"}';
  await eventually(
    async () => ((await sluice.metric(series)) === 1 ? true : undefined),
    'a client that left',
  );
}

/** A peer whose first connection has shown that it stays open. */
async function start(
  t: TestContext,
  depth = 4,
): Promise<{ sluice: Sluice; peer: RawPeer; upstream: RawClient }> {
  const peer = await rawPeer(t);
  const sluice = await startSluice(t, gatewayTo(peer.address, depth), { threads: 1 });
  const client = await rawClient(t, sluice.port);
  client.send(request('/warm-up'));
  const upstream = await peer.nextConnection();
  await upstream.receives(/warm-up/);
  upstream.send(answer('warm'));
  await client.receives(/warm$/);
  return { sluice, peer, upstream };
}

/** Each path from a client of its own, all of them sent before any is answered. */
async function ask(
  t: TestContext,
  sluice: Sluice,
  upstream: RawClient,
  paths: readonly string[],
): Promise<RawClient[]> {
  const clients: RawClient[] = [];
  for (const path of paths) {
    const client = await rawClient(t, sluice.port);
    client.send(request(path));
    await upstream.receives(new RegExp(`GET ${path} [^]*\r\n\r\n`));
    clients.push(client);
  }
  return clients;
}
