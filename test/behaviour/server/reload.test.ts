/** SIGHUP: the configuration is read again, and nobody notices but those who asked for something new. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startSluice } from '../../support/index.ts';

const answering = (body: string, more = '') => `
  ${more}
  services:
    - name: edge
      listen: [127.0.0.1:0]
      routes: [{ respond: { status: 200, body: ${body} } }]
`;

describe('a reload', () => {
  test('serves the new configuration on the same sockets', async (t) => {
    const sluice = await startSluice(t, answering('one'), { threads: 2 });
    assert.equal((await sluice.get('/')).body, 'one');

    sluice.configure(answering('two'));
    await sluice.reload();

    assert.equal((await sluice.get('/')).body, 'two');
    const serving = (await sluice.status()).workers.filter(({ state }) => state === 'ready');
    assert.deepEqual(
      serving.map(({ generation }) => generation),
      [2, 2],
    );
  });
});
