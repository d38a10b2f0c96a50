import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HttpPeer, type ProxyHttp } from 'sluice';
import { testProxy } from 'sluice/testing';

test('phases that return no promise follow each other without a microtask in between', async () => {
  const peer = new HttpPeer('10.0.0.1:80');
  let pending = false;
  const interrupted: string[] = [];
  /** The first phase of a turn asks for a microtask; none that follows may see that it has run. */
  const begin = () => {
    pending = true;
    queueMicrotask(() => {
      pending = false;
    });
  };
  const follow = (phase: string) => {
    if (!pending) interrupted.push(phase);
  };
  const proxy: ProxyHttp = {
    newCtx: begin as () => undefined,
    earlyRequestFilter: () => follow('earlyRequestFilter'),
    requestFilter: () => follow('requestFilter'),
    proxyUpstreamFilter: () => follow('proxyUpstreamFilter'),
    upstreamPeer() {
      follow('upstreamPeer');
      return peer;
    },
    connectedToUpstream: (_session, { isReused }) => {
      // A new connection takes a turn of the event loop, whatever phases do.
      if (isReused) follow('connectedToUpstream');
    },
    upstreamRequestFilter: ({ connection }) => {
      if (connection!.isReused) follow('upstreamRequestFilter');
    },
    upstreamResponseFilter: begin,
    responseFilter: () => follow('responseFilter'),
    // Pieces, and the end, come in turns of their own.
    upstreamResponseBodyFilter: begin,
    responseBodyFilter: () => follow('responseBodyFilter'),
    logging: () => follow('logging'),
  };
  await using world = await testProxy(proxy);
  world.peer.answer({ body: 'hello' });
  for (let nth = 0; nth < 3; nth++) assert.equal((await world.fetch('/')).text, 'hello');
  assert.deepEqual(interrupted, []);
});
