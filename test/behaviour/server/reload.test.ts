/** SIGHUP: the configuration is read again, and nobody notices but those who asked for something new. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  closedPort,
  eventually,
  get,
  rawClient,
  rawPeer,
  startPeer,
  startSluice,
  startTraffic,
  temporaryFile,
  type RawClient,
  type Sluice,
} from '../../support/index.ts';

const answering = (body: string, more = '') => `
  ${more}
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ respond: { status: 200, body: ${body} } }]
`;

const gatewayTo = (address: string, more = '') => `
  ${more}
  upstreams: { api: { peers: ['${address}'] } }
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ upstream: api }]
`;

/** Of the workers that take new connections. */
async function serving(sluice: Sluice) {
  return (await sluice.status()).workers.filter(({ state }) => state === 'ready');
}

function done(more = '') {
  return { kind: 'done', text: `reloaded${more}` };
}

describe('a reload', () => {
  test('serves the new configuration on the same sockets', async (t) => {
    const sluice = await startSluice(t, answering('one'), { threads: 2 });
    assert.equal((await sluice.get('/')).body, 'one');

    sluice.configure(answering('two'));
    assert.deepEqual(await sluice.reload(), done());

    assert.equal((await sluice.get('/')).body, 'two');
    assert.deepEqual(
      (await serving(sluice)).map(({ generation }) => generation),
      [2, 2],
    );
  });

  test('loses no request, old or new', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address), { threads: 2 });
    const traffic = startTraffic(t, sluice.port);
    await traffic.answered(20);

    for (let time = 0; time < 5; time++) assert.deepEqual(await sluice.reload(), done());
    await traffic.answered(20);

    const { answered, ...losses } = await traffic.stop();
    assert.ok(answered > 40);
    assert.deepEqual(losses, { wrong: 0, refused: 0, cut: 0 });
  });

  test('lets a download, an upload and a tunnel go on where they are', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address));
    const download = await rawClient(t, sluice.port);
    download.send('GET /down HTTP/1.1\r\nHost: a\r\n\r\n');
    const sender = await peer.nextConnection();
    await sender.receives(/\r\n\r\n$/);
    sender.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst');
    await download.receives(/first$/);
    const upload = await rawClient(t, sluice.port);
    upload.send('POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst');
    const receiver = await peer.nextConnection();
    await receiver.receives(/first$/);
    const tunnel = await rawClient(t, sluice.port);
    tunnel.send('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    const echo = await peer.nextConnection();
    await echo.receives(/\r\n\r\n$/);
    echo.send('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    await tunnel.receives(/^HTTP\/1\.1 101 /);

    assert.deepEqual(await sluice.reload(), done());
    sender.send('other');
    upload.send('other');
    await receiver.receives(/firstother$/);
    receiver.send('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    tunnel.send('ping');
    await echo.receives(/ping$/);
    echo.send('pong');

    await download.receives(/firstother$/);
    assert.match(await upload.closed(), /^HTTP\/1\.1 200 [^]*\r\nConnection: close\r\n/);
    await tunnel.receives(/pong$/);
  });

  test('tells a client that keeps its connection to close it, with an answer', async (t) => {
    const sluice = await startSluice(t, answering('one'));
    const client = await rawClient(t, sluice.port);
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.receives(/one$/);

    sluice.configure(answering('two'));
    await sluice.reload();
    client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');

    // Its worker is of the old generation, and serves what it was started with.
    assert.match(await client.closed(), /one[^]*\r\nConnection: close\r\n[^]*one$/);
  });

  test('with more workers, and then with fewer, loses no connection', async (t) => {
    const peer = await startPeer(t);
    const threads = (count: number) => gatewayTo(peer.address, `threads: ${count}`);
    const sluice = await startSluice(t, threads(1));
    const traffic = startTraffic(t, sluice.port);
    await traffic.answered(10);

    for (const count of [3, 1, 2]) {
      sluice.configure(threads(count));
      assert.deepEqual(await sluice.reload(), done());
      assert.equal((await serving(sluice)).length, count);
      await traffic.answered(20);
    }

    const { answered: _, ...losses } = await traffic.stop();
    assert.deepEqual(losses, { wrong: 0, refused: 0, cut: 0 });
  });

  test('opens addresses that are new, and closes those that are gone', async (t) => {
    const [one, two] = [await closedPort(), await closedPort()];
    const listening = (...ports: number[]) => `
      services:
        - name: edge
          listen: [${ports.map((port) => `127.0.0.1:${port}`).join(', ')}]
          routes: [{ respond: { status: 200, body: here } }]
    `;
    const sluice = await startSluice(t, listening(one));
    await assert.rejects(get(two, '/'), { code: 'ECONNREFUSED' });

    sluice.configure(listening(one, two));
    assert.deepEqual(await sluice.reload(), done());
    assert.equal((await get(two, '/')).body, 'here');
    assert.equal((await get(one, '/')).body, 'here');

    sluice.configure(listening(two));
    assert.deepEqual(await sluice.reload(), done());
    assert.equal((await get(two, '/')).body, 'here');
    await eventually(
      () =>
        get(one, '/').then(
          () => undefined,
          ({ code }) => code === 'ECONNREFUSED' || undefined,
        ),
      'the address to be closed',
    );
  });

  test('keeps what limits and figures know', async (t) => {
    const limited = (burst: number, name = 'edge') => `
      services:
        - name: ${name}
          listen: [127.0.0.1:0]
          routes:
            - rate_limit: { key: client_ip, rate: 1/h, burst: ${burst} }
              respond: { status: 200 }
    `;
    const sluice = await startSluice(t, limited(3));
    for (let time = 0; time < 3; time++) assert.equal((await sluice.get('/')).status, 200);

    assert.deepEqual(await sluice.reload(), done());
    assert.equal((await sluice.get('/')).status, 429);

    // Two more than before, of which three are spent.
    sluice.configure(limited(5));
    assert.deepEqual(await sluice.reload(), done());
    assert.deepEqual(
      [
        (await sluice.get('/')).status,
        (await sluice.get('/')).status,
        (await sluice.get('/')).status,
      ],
      [200, 200, 429],
    );
    assert.equal(await sluice.metric('sluice_requests_total{service="edge",status="200"}'), 5);
    assert.equal(await sluice.metric('sluice_requests_total{service="edge",status="429"}'), 2);
  });

  test('while one is under way comes after it', async (t) => {
    const sluice = await startSluice(t, answering('one'));

    sluice.configure(answering('two'));
    const first = sluice.reload();
    sluice.configure(answering('three'));
    await Promise.all([first, sluice.reload()]);

    await eventually(
      async () => ((await sluice.get('/')).body === 'three' ? true : undefined),
      'the last one',
    );
  });

  test('cuts the oldest generation when four others are leaving, too', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await startSluice(t, gatewayTo(peer.address, 'grace_period_seconds: 600'));
    const held: RawClient[] = [];
    for (let generation = 1; generation <= 5; generation++) {
      const client = await rawClient(t, sluice.port);
      client.send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await (await peer.nextConnection()).receives(/\r\n\r\n$/);
      held.push(client);
      assert.deepEqual(await sluice.reload(), done());
    }

    await sluice.logged(
      ({ msg, generation }) => /oldest one is cut/.test(msg ?? '') && generation === 1,
    );

    assert.equal(await held[0]!.closed(), '');
    for (const client of held.slice(1)) assert.equal(client.socket.readyState, 'open');
  });

  test('does not stop a worker from being replaced that is killed meanwhile', async (t) => {
    const sluice = await startSluice(t, answering('one'), { threads: 2 });
    const [victim] = await serving(sluice);

    const reloaded = sluice.reload();
    process.kill(victim!.pid, 'SIGKILL');

    assert.deepEqual(await reloaded, done());
    await eventually(
      async () => ((await serving(sluice)).length === 2 ? true : undefined),
      'two workers',
    );
    assert.equal((await sluice.get('/')).body, 'one');
  });
});

describe('a reload of a configuration that is broken', () => {
  const broken: { name: string; yaml: (taken: number) => string; says: RegExp }[] = [
    {
      name: 'is no YAML',
      yaml: () => 'services: [',
      says: /conf\.yaml:\d+:\d+: .*\n +\d+ \| .*\n +\^/,
    },
    {
      name: 'has an unknown key',
      yaml: () => answering('two').replace('routes', 'rules'),
      says: /unknown key "rules".*\n +\d+ \| .*rules.*\n +\^/,
    },
    {
      name: 'names an upstream that is not there',
      yaml: () => gatewayTo('127.0.0.1:1').replace('upstream: api', 'upstream: apis'),
      says: /there is no upstream "apis"; did you mean "api"\?\n/,
    },
    {
      name: 'names a certificate that is not there',
      yaml: () =>
        answering('two').replace(
          '[127.0.0.1:0]',
          '[{ address: 127.0.0.1:0, tls: { cert: no.pem, key: no.pem } }]',
        ),
      says: /cannot read no\.pem: there is no such file\n/,
    },
    {
      name: 'wants an address that somebody else has',
      yaml: (taken) => answering('two').replace(':0', `:${taken}`),
      says: /service "edge" cannot listen on 127\.0\.0\.1:\d+: another process listens there/,
    },
    {
      name: 'wants a log file that cannot be opened',
      yaml: () => answering('two', 'access_log: /no/such/folder/access.log'),
      says: /\/no\/such\/folder\/access\.log/,
    },
  ];
  for (const { name, yaml, says } of broken) {
    test(`that ${name} changes nothing, and says why`, async (t) => {
      const other = await startPeer(t);
      const sluice = await startSluice(t, answering('one'));
      const before = await serving(sluice);

      sluice.configure(yaml(other.port));
      const { kind, text } = await sluice.reload();

      assert.equal(kind, 'refused');
      assert.match(text, says);
      assert.deepEqual(await serving(sluice), before);
      assert.equal((await sluice.get('/')).body, 'one');
      sluice.configure(answering('two'));
      assert.deepEqual(await sluice.reload(), done());
      assert.equal((await sluice.get('/')).body, 'two');
    });
  }
});

describe('a reload of a program', () => {
  const program = fileURLToPath(new URL('programs/asks-for-trouble.ts', import.meta.url));

  const troubles = [
    { name: 'throws', trouble: 'throws: true', says: /this program does not like its config/ },
    { name: 'ends', trouble: 'ends: true', says: /ended while its configuration was checked .*3/ },
    // The first process, its worker and the check come before.
    { name: 'ends in its workers', trouble: 'endsFrom: 4', says: /ended before it was ready: .*3/ },
    {
      name: 'hangs in its workers',
      trouble: 'hangsFrom: 4\nworkers: { start_timeout: 2s }',
      says: /it was not ready after 2000 ms/,
    },
  ];
  for (const { name, trouble, says } of troubles) {
    test(`that ${name} changes nothing, and says why`, async (t) => {
      const lines = temporaryFile(t, 'lines', '');
      const yaml = (more: string) => `lines: ${lines}\n${more}`;
      const sluice = await startSluice(t, yaml('answer: one'), { program });
      const before = await serving(sluice);

      sluice.configure(yaml(`answer: two\n${trouble}`));
      const { kind, text } = await sluice.reload();

      assert.equal(kind, 'refused');
      assert.match(text, says);
      assert.deepEqual(await serving(sluice), before);
      assert.equal((await sluice.get('/')).body, 'one');
      sluice.configure(yaml('answer: two'));
      assert.deepEqual(await sluice.reload(), done());
      assert.equal((await sluice.get('/')).body, 'two');
    });
  }
});
