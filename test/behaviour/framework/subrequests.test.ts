import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { rawClient, rawPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/subrequests.ts', import.meta.url));

interface Line {
  readonly target: string;
  readonly request_id: string;
  readonly subrequest_of?: string;
  readonly status: number;
  readonly error?: string;
}

const ASKED = /^GET \/inner HTTP\/1\.1\r\n[^]*\r\n\r\n$/;
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

test('subrequests of a program', async (t) => {
  const peer = await rawPeer(t);
  const yaml = `access_log: stdout\npeer: '${peer.address}'`;
  const sluice = await startSluice(t, yaml, { program });
  let seen = 0;
  /** The next lines of the access log, by target. */
  const lines = async (count: number) => {
    const all = await sluice.until(() => {
      const found = sluice.stdout.split('\n').slice(seen, -1);
      return found.length >= count ? found : undefined;
    }, `${count} lines of the access log`);
    seen += count;
    return new Map(
      all.map((text) => {
        const line = JSON.parse(text) as Line;
        return [line.target, line];
      }),
    );
  };

  await t.test('have a line in the access log that says whose they are', async () => {
    const answer = sluice.get('/outer');
    const connection = await peer.nextConnection();
    await connection.receives(ASKED);
    connection.send(ANSWER);

    assert.equal((await answer).body, 'ok');
    const found = await lines(2);
    assert.equal(found.get('/inner')!.subrequest_of, found.get('/outer')!.request_id);
    assert.equal(found.get('/outer')!.subrequest_of, undefined);
    connection.socket.destroy();
  });

  await t.test('end with the client that they are made for', async () => {
    const client = await rawClient(t, sluice.port);
    client.send('GET /outer HTTP/1.1\r\nHost: a\r\n\r\n');
    const connection = await peer.nextConnection();
    await connection.receives(ASKED);

    client.socket.resetAndDestroy();

    await connection.closed();
    const found = await lines(2);
    assert.deepEqual(
      ['/inner', '/outer'].map((target) => found.get(target)!.error),
      ['downstream/closed', 'downstream/closed'],
    );
  });

  await t.test(
    'in the background go on without the client, also while the process stops',
    async () => {
      assert.equal((await sluice.get('/later')).status, 202);
      const connection = await peer.nextConnection();
      await connection.receives(ASKED);
      await lines(1);

      sluice.process.kill('SIGTERM');
      await sluice.refusing();
      connection.send(ANSWER);

      const { code, stdout } = await sluice.ended;
      assert.equal(code, 0);
      const inner = JSON.parse(stdout.split('\n').at(-2)!) as Line;
      assert.deepEqual([inner.target, inner.status, inner.error], ['/inner', 200, undefined]);
    },
  );
});
