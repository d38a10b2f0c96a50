import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import {
  eventually,
  rawClient,
  startPeer,
  startSluice,
  temporaryFile,
} from '../../support/index.ts';

describe('a path', () => {
  test('has one spelling: for the routes, and for the peer', async (t) => {
    const peer = await startPeer(t);
    const log = join(dirname(temporaryFile(t, 'x', '')), 'access.log');
    const sluice = await startSluice(
      t,
      `
      access_log: ${log}
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          routes:
            - { match: { path: /admin/* }, respond: { status: 403 } }
            - { match: { path: /npm/* }, upstream: api, paths: [encoded_slash] }
            - { upstream: api }
      `,
    );
    const statusOf = async (target: string) => {
      const client = await rawClient(t, sluice.port);
      client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      return Number((await client.closed()).slice(9, 12));
    };

    for (const target of ['/admin', '/api/../admin/x', '/api/./../admin', '/%61dmin/']) {
      assert.equal(await statusOf(target), 403, target);
    }
    for (const target of [
      '/..',
      '/a/../../b',
      '/a%2fb',
      '/a%5Cb',
      '/a%00',
      '/%2e%2e/admin',
      '/a%',
    ]) {
      assert.equal(await statusOf(target), 400, target);
    }
    assert.equal(peer.requests.length, 0);

    for (const target of ['/a/b/../c?x=/../y', '/npm/@scope%2fname', '/%7euser/%e4']) {
      assert.equal(await statusOf(target), 200, target);
    }
    assert.deepEqual(
      peer.requests.map(({ target }) => target),
      ['/a/c?x=/../y', '/npm/@scope%2Fname', '/~user/%E4'],
    );

    const refusal = await eventually(
      async () =>
        readFileSync(log, 'utf8')
          .split('\n')
          .find((line) => line.includes('/a%2fb')),
      'the refusal in the access log',
    );
    const { error, detail } = JSON.parse(refusal) as Record<string, string>;
    assert.equal(error, 'downstream/path-not-allowed');
    assert.match(detail!, /allow it with paths: \[encoded_slash\]/);
  });

  test('may be spelled as the service allows', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(
      t,
      `
      upstreams: { api: { peers: ['${peer.address}'] } }
      services:
        - name: edge
          listen: [127.0.0.1:0]
          paths: [encoded_slash, encoded_backslash, encoded_nul, encoded_dots]
          routes: [{ upstream: api }]
      `,
    );
    const ask = async (target: string) => {
      const client = await rawClient(t, sluice.port);
      client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
      return (await client.closed()).slice(9, 12);
    };

    for (const target of ['/a%2fb', '/a%5cb', '/a%00', '/a/%2e%2E/b']) {
      assert.equal(await ask(target), '200', target);
    }
    assert.deepEqual(
      peer.requests.map(({ target }) => target),
      ['/a%2Fb', '/a%5Cb', '/a%00', '/b'],
    );
    // Nothing allows what leaves the root, or what a peer may decode into that.
    for (const target of ['/%2e%2e/a', '/a/..%2f..%2fb', '/..']) {
      assert.equal(await ask(target), '400', target);
    }
  });
});
