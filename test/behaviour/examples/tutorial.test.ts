import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import { authority, closedPort, edge, getTls, makeCertificate } from '../../support/index.ts';
import { pemFiles, startExample, startPeer, startTlsPeer } from '../../support/index.ts';

describe('the examples of the tutorial', () => {
  test('1: the first proxy passes on, names itself, and says how it went', async (t) => {
    const origin = await startPeer(t);
    const example = await startExample(t, '1-first-proxy', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    await example.says(/^status=200 elapsed=\d+\.\dms$/);
    assert.deepEqual(
      origin.requests.map(({ body }) => String(body)),
      ['', 'a body'],
    );
  });

  test('2: load balancing hides a broken backend', async (t) => {
    const origins = [await startPeer(t), await startPeer(t)];
    const broken = `127.0.0.1:${await closedPort()}`;
    const ORIGINS = [...origins.map(({ address }) => address), broken].join(',');
    const example = await startExample(t, '2-load-balancing', { env: { ORIGINS } });

    await example.keepsItsPromises();

    const became = await example.says(/^peer became ill$/);
    assert.equal(became['peer'], broken);
    await example.says(/^status=200 peer=127\.0\.0\.1:\d+ attempts=\d elapsed=\d+\.\dms$/);
    for (const { requests } of origins) assert.notEqual(requests.length, 0);
  });

  test('3: filters ask for a key, keep it from the origin, and log whose it was', async (t) => {
    const origin = await startPeer(t);
    const example = await startExample(t, '3-filters', { env: { ORIGIN: origin.address } });

    await example.keepsItsPromises();

    await example.says(/^status=401 key=- elapsed=\d+\.\dms$/);
    await example.says(/^status=200 key=demo elapsed=\d+\.\dms$/);
    assert.equal(origin.requests.length, 1);
    assert.equal(origin.requests[0]?.headers['x-api-key'], undefined);
    assert.equal(origin.requests[0]?.headers['x-key-owner'], 'demo');
  });

  test('4: TLS on both sides', async (t) => {
    const peer = await startTlsPeer(
      t,
      makeCertificate({ commonName: 'origin.test', issuer: authority }),
    );
    const { cert: CERT, key: KEY } = pemFiles(t, edge);
    const folder = dirname(CERT);
    writeFileSync(`${folder}/ca.pem`, authority.cert);
    const env = { CERT, KEY, CA: `${folder}/ca.pem`, ORIGIN: peer.address };
    const usualPorts = [6443];
    const good = await startExample(t, '4-tls', { env, usualPorts });

    await good.keepsItsPromises(folder);

    await good.says(/^status=200 tls=TLSv1\.3 error=undefined elapsed=\d+\.\dms$/);
  });

  test('4: an origin that is somebody else gets no request', async (t) => {
    const peer = await startTlsPeer(
      t,
      makeCertificate({ commonName: 'origin.test', issuer: authority }),
    );
    const { cert: CERT, key: KEY } = pemFiles(t, edge);
    writeFileSync(`${dirname(CERT)}/ca.pem`, authority.cert);
    const env = { CERT, KEY, CA: `${dirname(CERT)}/ca.pem`, ORIGIN: peer.address };
    const wrong = { ...env, ORIGIN_NAME: 'other.test' };
    const example = await startExample(t, '4-tls', { env: wrong });

    const answer = await getTls(example.ports[0]!, '/');

    assert.equal(answer.status, 502);
    await example.says(/^status=502 tls=TLSv1\.3 error=upstream\/certificate-refused /);
  });
});
