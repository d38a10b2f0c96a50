import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { get, launch, startSluice, temporaryFile } from '../../support/index.ts';

const program = fileURLToPath(new URL('programs/counts.ts', import.meta.url));

describe('metrics of a program', () => {
  test('are exact over all workers, also over one that was killed', async (t) => {
    const sluice = await startSluice(t, '', { program, threads: 2 });
    const orders = Array.from({ length: 40 }, () => sluice.get('/north/5'));
    for (const { status } of await Promise.all(orders)) assert.equal(status, 200);
    assert.equal(await sluice.metric('shop_open_orders'), 40);

    for (const { pid } of (await sluice.status()).workers) {
      process.kill(pid, 'SIGKILL');
      await sluice.replaced(pid);
    }
    await sluice.get('/north/11/again');

    const page = (await get(sluice.adminPort, '/metrics')).body;
    const shop = page.split('\n').filter((line) => line.includes('shop_'));
    assert.deepEqual(shop, [
      '# HELP shop_orders_total Orders, by whose they are.',
      '# TYPE shop_orders_total counter',
      'shop_orders_total{tenant="supervisor",kind="new"} 1',
      'shop_orders_total{tenant="north",kind="new"} 40',
      'shop_orders_total{tenant="north",kind="again"} 1',
      '# HELP shop_order_items Items of an order.',
      '# TYPE shop_order_items histogram',
      'shop_order_items_bucket{le="1"} 0',
      'shop_order_items_bucket{le="10"} 40',
      'shop_order_items_bucket{le="+Inf"} 41',
      'shop_order_items_sum 211',
      'shop_order_items_count 41',
      '# HELP shop_open_orders Orders that are being worked on.',
      '# TYPE shop_open_orders gauge',
      'shop_open_orders 1',
    ]);
  });

  test('have as many values of a label as was said, and a line in the log for the rest', async (t) => {
    const sluice = await startSluice(t, '', { program, threads: 2 });
    for (const tenant of ['a', 'b', 'c', 'd']) await sluice.get(`/${tenant}/1`);

    const other = await sluice.metric('shop_orders_total{tenant="other",kind="new"}');
    assert.equal(other, 3, 'one of the two rows is the supervisor’s');
    const line = await sluice.logged(({ msg }) => /more values than it may have/.test(String(msg)));
    assert.equal(line['metric'], 'shop_orders_total');
    assert.equal(line['label'], 'tenant');
  });

  test('with a name that is taken end the start', async (t) => {
    const conf = temporaryFile(t, 'conf.yaml', 'version: 1\nbroken: name\n');
    const { code, stderr } = await launch(t, ['-c', conf], { program }).ended;

    assert.equal(code, 1);
    assert.match(stderr, /metrics\.gauge "shop_open_orders": .* exists already/);
  });

  test('that come too late are an error of the phase that makes them', async (t) => {
    const sluice = await startSluice(t, 'broken: late', { program });

    assert.equal((await sluice.get('/north/1')).status, 500);
    const line = await sluice.logged(({ msg }) => msg === 'a phase threw');
    assert.match(JSON.stringify(line), /build metrics before the server runs/);
  });
});
