import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { addressKey } from '../../../../src/worker/limits/address-key.ts';

describe('the key of a client by its address', () => {
  const rows = [
    { address: '192.0.2.1', key: '192.0.2.1' },
    { address: '::ffff:192.0.2.1', key: '192.0.2.1' },
    { address: '::FFFF:c000:0201', key: '192.0.2.1' },
    { address: '0:0:0:0:0:ffff:192.0.2.1', key: '192.0.2.1' },
    { address: '2001:db8:1:2:3:4:5:6', key: '2001:db8:1:2:0:0:0:0/64' },
    { address: '2001:0DB8:0001:0002::', key: '2001:db8:1:2:0:0:0:0/64' },
    { address: '2001:db8::1', key: '2001:db8:0:0:0:0:0:0/64' },
    { address: '::1', key: '0:0:0:0:0:0:0:0/64' },
    { address: 'fe80::1%eth0', key: 'fe80:0:0:0:0:0:0:0/64' },
    { address: '64:ff9b::192.0.2.1', key: '64:ff9b:0:0:0:0:c000:201', prefix: 128 },
    { address: '2001:db8:abcd::', key: '2001:db8:ab00:0:0:0:0:0/40', prefix: 40 },
    { address: '2001:dbf::', key: '2001:dbe:0:0:0:0:0:0/31', prefix: 31 },
    { address: 'unix:', key: 'unix:' },
    { address: 'not:an:address', key: 'not:an:address' },
    { address: '1:2:3:4:5:6:7:8:9', key: '1:2:3:4:5:6:7:8:9' },
    { address: '1::2::3', key: '1::2::3' },
  ];
  for (const { address, key, prefix } of rows) {
    test(`${address} is ${key}`, () => {
      assert.equal(addressKey(address, prefix), key);
    });
  }
});
