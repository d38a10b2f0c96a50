import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Admission,
  clientOf,
  ConnectionBudget,
} from '../../../../src/worker/downstream/admission.ts';
import { defaultMaxConnections } from '../../../../src/worker/downstream/open-files.ts';

describe('admission', () => {
  const limits = { maxConnections: 4, maxConnectionsPerClient: 2 };

  test('stops one client before all, and lets it in again when it has left', () => {
    const admission = new Admission(limits, unlimited(), undefined);
    assert.equal(admission.enter('192.0.2.1'), undefined);
    assert.equal(admission.enter('192.0.2.1'), undefined);
    assert.equal(admission.enter('192.0.2.1'), 'per-client');
    assert.equal(admission.enter('192.0.2.2'), undefined);

    admission.leave('192.0.2.1');

    assert.equal(admission.enter('192.0.2.1'), undefined);
    assert.equal(admission.enter('192.0.2.3'), undefined);
    assert.equal(admission.isFull, true);
    assert.equal(admission.enter('192.0.2.4'), 'full');
  });

  test('lets trusted proxies have any number, up to all', () => {
    const admission = new Admission(limits, unlimited(), (address) => address === '10.0.0.1');
    const answers = Array.from({ length: 5 }, () => admission.enter('10.0.0.1'));
    assert.deepEqual(answers, [undefined, undefined, undefined, undefined, 'full']);
  });

  test('is of all services together, since they share the process’s open files', () => {
    const budget = new ConnectionBudget(3);
    const one = new Admission(limits, budget, undefined);
    const other = new Admission(limits, budget, undefined);
    one.enter('192.0.2.1');
    one.enter('192.0.2.1');
    assert.equal(other.enter('192.0.2.1'), undefined);
    assert.equal(other.enter('192.0.2.2'), 'full');
    assert.equal(one.isFull, true);

    one.leave('192.0.2.1');

    assert.equal(other.enter('192.0.2.2'), undefined);
  });

  const clients = [
    { address: '192.0.2.1', client: '192.0.2.1' },
    { address: '::ffff:192.0.2.1', client: '192.0.2.1' },
    { address: '2001:db8:1:2:3:4:5:6', client: '2001:db8:1:2::/64' },
    { address: '2001:db8:1:2::6', client: '2001:db8:1:2::/64' },
    { address: '2001:db8::6', client: '2001:db8:0:0::/64' },
    { address: '::1', client: '0:0:0:0::/64' },
    { address: 'unix:', client: 'unix:' },
  ];
  for (const { address, client } of clients) {
    test(`takes ${address} for ${client}`, () => assert.equal(clientOf(address), client));
  }

  test('leaves descriptors for peers and for itself', () => {
    assert.equal(defaultMaxConnections(20_256), 10_000);
    assert.equal(defaultMaxConnections(100), 64);
    assert.ok(defaultMaxConnections() >= 64);
  });
});

function unlimited(): ConnectionBudget {
  return new ConnectionBudget(Number.POSITIVE_INFINITY);
}
