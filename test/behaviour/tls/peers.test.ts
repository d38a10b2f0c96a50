import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join, dirname } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { authority, closedPort, makeAuthority, makeCertificate } from '../../support/index.ts';
import { pemFiles, rawPeer, startPeer, startSluice, startTlsPeer } from '../../support/index.ts';
import { temporaryFile, type Certificate } from '../../support/index.ts';

const stranger = makeAuthority('Somebody Else');
const named = makeCertificate({ commonName: 'api.test', issuer: authority });
const addressed = makeCertificate({
  commonName: 'by address',
  names: ['127.0.0.1'],
  issuer: authority,
});

/** @param tls as in the file, without the braces */
function gateway(t: TestContext, peer: string, tls: string, more = '') {
  return startSluice(
    t,
    `
    log: { level: debug }
    upstreams: { api: { peers: ['${peer}'], tls: { ${tls} } ${more} } }
    services:
      - name: edge
        listen: [127.0.0.1:0]
        routes: [{ upstream: api }]
  `,
  );
}

const caFile = (t: TestContext, { cert }: Certificate = authority) =>
  temporaryFile(t, 'ca.pem', cert);

describe('a peer that speaks TLS', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`is asked over ${version}, by its name, and its connection is kept`, async (t) => {
      const peer = await startTlsPeer(t, { ...named, minVersion: version, maxVersion: version });
      const sluice = await gateway(t, peer.address, `sni: api.test, ca: '${caFile(t)}'`);

      assert.equal((await sluice.get('/')).body, 'hello over TLS');
      assert.equal((await sluice.get('/')).status, 200);

      assert.equal(peer.connections.length, 1);
      assert.equal(peer.connections[0]!.getProtocol(), version);
      assert.equal(servernameOf(peer.connections[0]), 'api.test');
      assert.equal(peer.connections[0]!.alpnProtocol, 'http/1.1');
    });
  }

  test('with an address and no name is verified by that address, and asked for no name', async (t) => {
    const peer = await startTlsPeer(t, addressed);
    const sluice = await gateway(t, peer.address, `ca: '${caFile(t)}'`);

    assert.equal((await sluice.get('/')).status, 200);

    assert.equal(servernameOf(peer.connections[0]), false);
  });

  test('is verified by an address that is given in place of a name', async (t) => {
    const peer = await startTlsPeer(t, addressed);
    const sluice = await gateway(t, `localhost:${peer.port}`, `sni: 127.0.0.1, ca: '${caFile(t)}'`);

    assert.equal((await sluice.get('/')).status, 200);
    assert.equal(servernameOf(peer.connections[0]), false);
  });

  test('finds its authority in ca_file', async (t) => {
    const peer = await startTlsPeer(t, addressed);
    const sluice = await startSluice(
      t,
      `
      ca_file: '${caFile(t)}'
      upstreams: { api: { peers: ['${peer.address}'], tls: {} } }
      services: [{ name: edge, listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]
    `,
    );

    assert.equal((await sluice.get('/')).status, 200);
  });

  test('sends and gets a large body, unharmed', async (t) => {
    const peer = await startTlsPeer(t, addressed, (request, response) => {
      response.setHeader('content-length', request.headers['content-length']!);
      request.pipe(response);
    });
    const sluice = await gateway(t, peer.address, `ca: '${caFile(t)}'`);
    const body = Buffer.alloc(4 * 1024 * 1024);
    for (let at = 0; at < body.length; at += 4) body.writeUInt32LE(at, at);

    const answer = await sluice.get('/', { method: 'POST', body });

    assert.ok(Buffer.from(answer.body, 'latin1').equals(body));
  });

  test('goes on where the last connection left off', async (t) => {
    const peer = await startTlsPeer(t, addressed, (_request, response) => {
      response.setHeader('connection', 'close');
      response.end('ok');
    });
    const sluice = await gateway(t, peer.address, `ca: '${caFile(t)}'`);

    for (let n = 0; n < 2; n++) assert.equal((await sluice.get('/')).status, 200);

    assert.deepEqual(peer.resumed, [false, true]);
  });

  test('is shown our certificate, and refuses us without one', async (t) => {
    const client = makeCertificate({ commonName: 'gateway', issuer: authority });
    const { cert, key } = pemFiles(t, client);
    const options = { ...addressed, ca: authority.cert, requestCert: true };
    const peer = await startTlsPeer(t, options);
    const ca = caFile(t);
    const known = await gateway(t, peer.address, `ca: '${ca}', cert: '${cert}', key: '${key}'`);
    const unknown = await gateway(t, peer.address, `ca: '${ca}'`);

    assert.equal((await known.get('/')).status, 200);
    assert.equal(peer.connections[0]!.getPeerCertificate().subject.CN, 'gateway');
    assert.equal((await unknown.get('/')).status, 502);
    const line = await unknown.logged(({ msg }) => msg === 'request failed');
    assert.match(JSON.stringify(line), /certificate.required/i);
  });

  test('is probed over TLS: a certificate that nobody vouches for is an illness', async (t) => {
    const peer = await startTlsPeer(t, addressed);
    const check = `, health_check: { type: tcp, interval: 100ms }`;
    const ca = caFile(t, stranger);
    const sluice = await gateway(t, peer.address, `ca: '${ca}'`, check);

    const line = await sluice.logged(({ msg }) => msg === 'peer became ill');

    assert.match(String(line['reason']), /unable to verify|issuer/);
    assert.equal((await sluice.get('/')).status, 503);
  });
});

describe('a peer that is not who we asked for', () => {
  const expired = makeCertificate({
    commonName: 'by address',
    names: ['127.0.0.1'],
    issuer: authority,
    validFrom: new Date('2020-01-01'),
    validTo: new Date('2020-02-01'),
  });
  const early = makeCertificate({
    commonName: 'by address',
    names: ['127.0.0.1'],
    issuer: authority,
    validFrom: new Date('2049-01-01'),
    validTo: new Date('2049-02-01'),
  });
  const selfSigned = makeCertificate({ commonName: 'by address', names: ['127.0.0.1'] });
  const onlyCommonName = makeCertificate({
    commonName: 'api.test',
    names: [],
    issuer: authority,
  });

  const cases: { name: string; peer: Certificate; tls?: string; says: RegExp }[] = [
    {
      name: 'has a certificate for another name',
      peer: named,
      tls: 'sni: other.test',
      says: /expected a certificate for other\.test, got one for DNS:api\.test/,
    },
    {
      name: 'has a certificate for a name where an address was meant',
      peer: named,
      says: /expected a certificate for 127\.0\.0\.1, got one for DNS:api\.test/,
    },
    {
      name: 'has its name where only software of old looks',
      peer: onlyCommonName,
      tls: 'sni: api.test',
      says: /expected a certificate for api\.test, got one for no name/,
    },
    { name: 'has an expired certificate', peer: expired, says: /CERT_HAS_EXPIRED/ },
    { name: 'has a certificate of the future', peer: early, says: /CERT_NOT_YET_VALID/ },
    {
      name: 'vouches for itself',
      peer: selfSigned,
      says: /self-signed certificate \(DEPTH_ZERO_SELF_SIGNED_CERT\)/,
    },
    {
      name: 'has a certificate of somebody we do not know',
      peer: makeCertificate({ commonName: 'x', names: ['127.0.0.1'], issuer: stranger }),
      says: /UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
    },
  ];
  for (const { name, peer: certificate, tls = '', says } of cases) {
    test(`and ${name} is a 502, and gets no request`, async (t) => {
      let requests = 0;
      const peer = await startTlsPeer(t, certificate, (_request, response) => {
        requests += 1;
        response.end();
      });
      const sluice = await gateway(t, peer.address, `ca: '${caFile(t)}'${tls && `, ${tls}`}`);

      assert.equal((await sluice.get('/')).status, 502);

      const line = await sluice.logged(({ msg }) => msg === 'request failed');
      assert.match(JSON.stringify(line), /upstream\/certificate-refused/);
      assert.match(JSON.stringify(line), says);
      // Before the handshake is over nothing was sent, so the other attempts were safe.
      assert.equal(line['attempts'], 3);
      assert.equal(requests, 0);
    });
  }

  test('is a 502 where Node knows only the authorities of the public', async (t) => {
    const peer = await startTlsPeer(t, addressed);
    const sluice = await gateway(t, peer.address, '');

    assert.equal((await sluice.get('/')).status, 502);
  });

  test('may have another name with verify: ca, but no other authority', async (t) => {
    const peer = await startTlsPeer(t, named);
    const good = await gateway(t, peer.address, `verify: ca, ca: '${caFile(t)}'`);
    const bad = await gateway(t, peer.address, `verify: ca, ca: '${caFile(t, stranger)}'`);

    assert.equal((await good.get('/')).status, 200);
    assert.equal((await bad.get('/')).status, 502);
    assert.ok(!good.stderr.includes('anybody can pretend'));
  });

  test('is believed with verify: off, and every start says so', async (t) => {
    const peer = await startTlsPeer(t, selfSigned);
    const sluice = await gateway(t, peer.address, 'verify: off');

    assert.equal((await sluice.get('/')).status, 200);

    const warning = await sluice.logged(({ level }) => level === 'warn');
    assert.match(
      String(warning.msg),
      /upstreams\.api\.tls\.verify: anybody can pretend to be a peer of this upstream/,
    );
  });
});

describe('a handshake with a peer that comes to nothing', () => {
  test('because it speaks no TLS, is a 502 with the reason in the log', async (t) => {
    const peer = await startPeer(t);
    const sluice = await gateway(t, peer.address, '');

    assert.equal((await sluice.get('/')).status, 502);

    const line = await sluice.logged(({ msg }) => msg === 'request failed');
    assert.match(JSON.stringify(line), /upstream\/tls-handshake-failed/);
    assert.match(JSON.stringify(line), /wrong version number|packet length|record layer/);
  });

  test('because it closes in the middle, is a 502', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await gateway(t, peer.address, '');

    const answer = sluice.get('/');
    for (let attempt = 0; attempt < 3; attempt++) {
      const connection = await peer.nextConnection();
      await connection.receives(/./s);
      connection.socket.destroy();
    }

    assert.equal((await answer).status, 502);
    const line = await sluice.logged(({ msg }) => msg === 'request failed');
    assert.match(JSON.stringify(line), /upstream\/tls-handshake-failed/);
  });

  test('because it says nothing, is a 504 after connect_timeout', async (t) => {
    const peer = await rawPeer(t);
    const sluice = await gateway(t, peer.address, '', ', connect_timeout: 200ms');

    assert.equal((await sluice.get('/')).status, 504);

    const line = await sluice.logged(({ msg }) => msg === 'request failed');
    assert.match(JSON.stringify(line), /upstream\/connect-timeout/);
  });

  test('because nobody listens, is what it is without TLS', async (t) => {
    const sluice = await gateway(t, `127.0.0.1:${await closedPort()}`, '');

    assert.equal((await sluice.get('/')).status, 502);

    const line = await sluice.logged(({ msg }) => msg === 'request failed');
    assert.match(JSON.stringify(line), /upstream\/connect-refused/);
  });
});

describe('a program with peers that speak TLS', () => {
  const program = fileURLToPath(new URL('programs/many-peers.ts', import.meta.url));

  test('shares no connection between peers that ask for different things', async (t) => {
    const both = makeCertificate({
      commonName: 'both',
      names: ['a.test', 'b.test'],
      issuer: authority,
    });
    const peer = await startTlsPeer(t, both);
    const ca = caFile(t);
    // The authority that counts, and one more: another list, another meaning.
    const wider = join(dirname(ca), 'wider.pem');
    writeFileSync(wider, authority.cert + stranger.cert);
    const wrong = caFile(t, stranger);
    const yaml = `
      peer: '${peer.address}'
      peers:
        - { sni: a.test, ca: '${ca}' }
        - { sni: b.test, ca: '${ca}' }
        - { sni: a.test, ca: '${wider}' }
        - { sni: a.test, ca: '${wrong}' }
        - { sni: c.test, alternativeName: a.test, ca: '${ca}' }
        - { sni: c.test, verifyHostname: false, ca: '${ca}' }
        - { sni: a.test, verifyCert: false }
        - { sni: a.test, useSystemCerts: true }
    `;
    const sluice = await startSluice(t, yaml, { program });
    const statusOf = async (n: number) => (await sluice.get(`/${n}`)).status;

    assert.equal(await statusOf(0), 200);
    // A connection that was verified for the first peer rests in the pool all the while.
    assert.deepEqual(
      [await statusOf(1), await statusOf(2), await statusOf(3), await statusOf(4)],
      [200, 200, 502, 200],
    );
    assert.deepEqual([await statusOf(5), await statusOf(6), await statusOf(7)], [200, 200, 502]);
    const good = peer.connections.filter((connection) => !connection.destroyed).length;
    assert.equal(good, 6, 'one for each peer that is believed');

    assert.equal(await statusOf(0), 200);
    assert.equal(await statusOf(6), 200);
    assert.equal(peer.connections.filter((connection) => !connection.destroyed).length, good);
  });

  const nonsense = [
    { options: { tls: true, sni: '' }, says: /an empty "sni" leaves nothing to verify/ },
    { options: { sni: 'a.test' }, says: /"sni" needs "tls: true"/ },
    { options: { tls: true, cert: named.cert }, says: /expected "cert" and "key" together/ },
    { options: { tls: true, ca: 'no PEM' }, says: /"ca" holds no certificate in PEM/ },
    {
      options: { tls: true, cert: named.cert, key: addressed.key },
      says: /cannot be used: .*key values mismatch/,
    },
  ];
  for (const { options, says } of nonsense) {
    test(`is told at once that ${says.source} `, async () => {
      const { HttpPeer } = await import('sluice');
      assert.throws(() => new HttpPeer('127.0.0.1:1', options), {
        name: 'TypeError',
        message: says,
      });
    });
  }

  test('is told that there is no TLS to a Unix socket', async () => {
    const { HttpPeer } = await import('sluice');
    assert.throws(() => new HttpPeer('unix:/run/x.sock', { tls: true }), {
      name: 'TypeError',
      message: /"tls" is for peers on TCP/,
    });
  });

  test('may send no name where it verifies none', async () => {
    const { HttpPeer } = await import('sluice');

    const peer = new HttpPeer('api.test:443', { tls: true, sni: '', verifyCert: false });

    assert.equal(peer.tls!.sni, undefined);
  });
});

function servernameOf(socket: object | undefined): unknown {
  return (socket as { servername?: unknown }).servername;
}
