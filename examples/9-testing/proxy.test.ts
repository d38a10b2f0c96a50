import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testProxy } from 'sluice/testing';
import { gateway } from './proxy.ts';

const origins = ['10.0.0.1:8080', '10.0.0.2:8080'];

test('passes a request on, and says for whom', async () => {
  await using world = await testProxy(() => gateway(origins));
  world.peer.answer({ status: 201, body: 'made' });

  const answer = await world.fetch('/things', { method: 'POST', body: 'a thing' });

  assert.deepEqual([answer.status, answer.text], [201, 'made']);
  const [request] = world.peer.requests;
  assert.equal(String(request?.body), 'a thing');
  assert.equal(request?.headers.get('x-forwarded-for'), '203.0.113.1');
});

test('admits 20 at once, and one more after a tenth of a second', async () => {
  await using world = await testProxy(() => gateway(origins));
  for (let n = 0; n < 20; n++) assert.equal((await world.fetch('/')).status, 200);
  assert.equal((await world.fetch('/')).status, 429);
  assert.equal((await world.fetch('/', { address: '198.51.100.7' })).status, 200);

  await world.clock.advance(100);

  assert.equal((await world.fetch('/')).status, 200);
});

test('answers 504 for an origin that says nothing for five seconds', async () => {
  await using world = await testProxy(() => gateway(origins));
  world.peer.answer('hang');
  const pending = world.fetch('/');

  await world.clock.advance(5_100);

  const answer = await pending;
  assert.equal(answer.status, 504);
  assert.deepEqual(JSON.parse(answer.text), { error: 'upstream/read-timeout' });
});

test('leaves an origin alone that is down', async () => {
  await using world = await testProxy(() => gateway(origins));
  world.peerAt('10.0.0.1:8080').connects = 'refuse';
  await world.clock.advance(1_100); // a probe comes up to a tenth late

  for (let n = 0; n < 4; n++) assert.equal((await world.fetch('/')).status, 200);

  assert.equal(world.peerAt('10.0.0.1:8080').requests.length, 0);
  assert.equal(world.peer.requests.length, 4);
});
