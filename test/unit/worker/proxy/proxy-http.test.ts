import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Filter, ProxyHttp } from 'sluice';

function upstreamPeer(): never {
  throw new Error('nobody asks');
}

/** The compiler runs before the tests, and knows what is expected of it. */
describe('the type of a proxy', () => {
  test('asks for newCtx where the context may not be undefined', () => {
    // @ts-expect-error a context that nobody makes
    const without: ProxyHttp<{ n: number }> = { upstreamPeer };
    const made: ProxyHttp<{ n: number }> = { newCtx: () => ({ n: 1 }), upstreamPeer };
    const none: ProxyHttp = { upstreamPeer };

    const makers = [without, made, none].map((proxy) => 'newCtx' in proxy);
    assert.deepEqual(makers, [false, true, false]);
  });

  test('gives every phase the context of that type', () => {
    const proxy: ProxyHttp<{ n: number }> = {
      newCtx: () => ({ n: 1 }),
      requestFilter({ ctx }) {
        ctx.n += 1;
        // @ts-expect-error no such field
        assert.equal(ctx.m, undefined);
      },
      upstreamPeer,
    };
    const session = { ctx: proxy.newCtx() };
    assert.equal(proxy.requestFilter?.(session as never), undefined);
    assert.equal(session.ctx.n, 2);
  });

  test('does not let a filter do what only a proxy can', () => {
    // @ts-expect-error there is one who chooses the peer
    const choosing: Filter = { name: 'choosing', upstreamPeer };
    assert.equal(choosing.name, 'choosing');
  });
});
