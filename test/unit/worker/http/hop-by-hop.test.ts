import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { removeHopByHop } from '../../../../src/worker/http/hop-by-hop.ts';

const alwaysRemoved = [
  'Connection',
  'Keep-Alive',
  'Proxy-Connection',
  'Proxy-Authenticate',
  'Proxy-Authorization',
  'TE',
  'Trailer',
  'Transfer-Encoding',
  'Upgrade',
  'HTTP2-Settings',
  'Keep_Alive',
  'Proxy_Connection',
  'Proxy_Authenticate',
  'Proxy_Authorization',
  'Transfer_Encoding',
  'HTTP2_Settings',
  'Content_Length',
];

const neverNominated = [
  'Host',
  'Content-Length',
  'Cache-Control',
  'Authorization',
  'Cookie',
  'Forwarded',
  'X-Forwarded-For',
  'X-Forwarded-Host',
  'X-Forwarded-Port',
  'X-Forwarded-Proto',
  'X-Real-IP',
];

const nominations = [
  { name: 'one name', connection: ['X-A'], left: ['X-B', 'X-C'] },
  { name: 'names in any case, beside close', connection: ['close, x-a ,X-b'], left: ['X-C'] },
  { name: 'names in several fields', connection: ['x-a', 'keep-alive', '\tx-c'], left: ['X-B'] },
  { name: 'empty elements', connection: [',, x-a,'], left: ['X-B', 'X-C'] },
  { name: 'no name', connection: ['close'], left: ['X-A', 'X-B', 'X-C'] },
  { name: 'a name that is not there', connection: ['x-d'], left: ['X-A', 'X-B', 'X-C'] },
  { name: 'a part of a name', connection: ['x-'], left: ['X-A', 'X-B', 'X-C'] },
];

describe('removeHopByHop', () => {
  test('removes what speaks of one connection, in any case', () => {
    for (const name of alwaysRemoved.flatMap((each) => [each, each.toLowerCase()])) {
      assert.deepEqual(remaining(['X', '1', name, 'y', 'Z', '2']), ['X', 'Z'], name);
    }
  });

  test('keeps the rest, also what only looks similar', () => {
    const names = [
      'Keep-Alice',
      'Trailers',
      'Upgrades',
      'TT',
      'Content-Encoding',
      'Accept',
      'Content-Length',
    ];
    assert.deepEqual(remaining(names.flatMap((name) => [name, 'x'])), names);
  });

  for (const { name, connection, left } of nominations) {
    test(`removes what Connection names: ${name}`, () => {
      const fields = ['X-A', '1', 'X-B', '2', 'X-C', '3'];
      const lines = connection.flatMap((value) => ['Connection', value]);
      assert.deepEqual(remaining([...lines, ...fields]), left);
      assert.deepEqual(remaining([...fields, ...lines]), left);
    });
  }

  test('keeps what must not be lost, even if Connection names it', () => {
    for (const name of neverNominated) {
      assert.deepEqual(remaining(['Connection', `close, ${name}`, name, 'x']), [name]);
    }
  });
});

function remaining(fields: string[]): string[] {
  const headers = new Headers(fields);
  removeHopByHop(headers);
  return [...headers].map(([name]) => name);
}
