import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { get, startPeer, startSluice } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/two-services.ts', import.meta.url));

describe('a program on the framework', () => {
  test('runs its phases, its own settings and several services', async (t) => {
    const peer = await startPeer(t);
    const yaml = `peer: '${peer.address}'\ngreeting: hello`;
    const sluice = await startSluice(t, yaml, { program });
    const [, two] = sluice.addresses;

    const passed = await sluice.get('/path');
    assert.equal(passed.status, 200);
    assert.equal(passed.headers['x-from'], 'upstream-response-filter, response-filter');
    assert.equal(peer.requests[0]!.target, '/prefix/path');
    assert.equal(peer.requests[0]!.headers['x-program'], 'true');

    const own = await sluice.get('/greet');
    assert.deepEqual(JSON.parse(own.body), { greeting: 'hello' });
    assert.equal(own.headers['x-from'], undefined);

    assert.equal((await get(two!.port, '/path')).status, 200);
    assert.equal(peer.requests[1]!.target, '/path');
    assert.equal(await sluice.metric('sluice_requests_total{service="two",status="200"}'), 1);
  });

  test('answers what its phases throw, and says in the log what it was', async (t) => {
    const peer = await startPeer(t);
    const sluice = await startSluice(t, `peer: '${peer.address}'\ngreeting: hello`, { program });

    assert.equal((await sluice.get('/throw')).status, 500);
    assert.equal((await sluice.get('/refuse')).status, 503);

    const line = await sluice.logged(({ msg }) => msg === 'a phase threw');
    assert.match(JSON.stringify(line), /made for the test/);
    await sluice.logged(
      ({ msg, code, status }) =>
        msg === 'logging phase' && code === 'upstream/none-healthy' && status === 503,
    );
    assert.equal(peer.requests.length, 0);
  });

  test('gets every option of the command', async (t) => {
    const { launch } = await import('../../support/index.ts');
    const help = await launch(t, ['--help'], { program }).ended;

    assert.equal(help.code, 0);
    assert.match(help.stdout, /^Usage: two-services \[options\]/);
  });
});
