import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { UpstreamConnection } from '../../../../src/worker/upstream/http1-connection.ts';
import { HttpPeer } from '../../../../src/worker/upstream/peer.ts';
import { Pool } from '../../../../src/worker/upstream/pool.ts';

/** As much of a connection as a pool sees; it ends when it is closed. */
function connectionTo(address: string, pool: Pool, maxIdle = 2): UpstreamConnection {
  const peer = new HttpPeer(address, { maxIdle });
  const connection = {
    peer,
    poolKey: peer.poolKey,
    restsSince: 0,
    rest: () => {},
    close: () => pool.remove(connection as unknown as UpstreamConnection),
  };
  return connection as unknown as UpstreamConnection;
}

describe('a pool', () => {
  test('forgets a peer when its last connection has ended, wherever that happens', () => {
    const pool = new Pool(10);
    for (let nth = 0; nth < 100; nth++) {
      const connection = connectionTo(`10.0.0.1:${8_000 + nth}`, pool);
      pool.put(connection);
      assert.equal(pool.take(connection.peer.poolKey), connection);
      connection.close();
      pool.put(connectionTo(`10.0.0.2:${8_000 + nth}`, pool, 0));
    }

    assert.equal(pool.peerCount, 0);
    assert.equal(pool.size, 0);
  });

  test('keeps the idle connections of a peer when another one of it ends', () => {
    const pool = new Pool(10);
    const [idle, busy] = [1, 2].map(() => connectionTo('10.0.0.1:80', pool));
    pool.put(idle!);
    pool.put(busy!);
    assert.equal(pool.take(busy!.peer.poolKey), busy);
    busy!.close();

    assert.equal(pool.size, 1);
    assert.equal(pool.take(idle!.peer.poolKey), idle);
  });

  test('that is full has room for the next one of the same peer', () => {
    const pool = new Pool(1);
    const [oldest, next] = [1, 2].map(() => connectionTo('10.0.0.1:80', pool));
    pool.put(oldest!);
    pool.put(next!);

    assert.equal(pool.size, 1);
    assert.equal(pool.take(next!.peer.poolKey), next);
    assert.equal(pool.size, 0);
  });
});
