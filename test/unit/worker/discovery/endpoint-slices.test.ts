import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  peersFrom,
  type EndpointSlice,
} from '../../../../src/worker/discovery/kubernetes/endpoint-slices.ts';
import { endpointSlice } from '../../../support/kubernetes-api.ts';

const ending = { ready: false, serving: true, terminating: true };

const cases: readonly {
  readonly name: string;
  readonly slices: readonly object[];
  readonly port?: number | string;
  readonly peers: readonly string[];
}[] = [
  {
    name: 'the pods of all slices',
    slices: [endpointSlice('a', '1', ['10.0.0.1']), endpointSlice('b', '1', ['10.0.0.2'])],
    peers: ['10.0.0.1:8080', '10.0.0.2:8080'],
  },
  {
    name: 'those that are ready, and not those that are not or are ending',
    slices: [
      endpointSlice('a', '1', [
        '10.0.0.1',
        { ip: '10.0.0.2', ready: false },
        { ip: '10.0.0.3', ...ending },
      ]),
    ],
    peers: ['10.0.0.1:8080'],
  },
  {
    name: 'those that are ending and still serve, if none is ready',
    slices: [
      endpointSlice('a', '1', [{ ip: '10.0.0.2', ready: false }]),
      endpointSlice('b', '1', [{ ip: '10.0.0.3', ...ending }]),
    ],
    peers: ['10.0.0.3:8080'],
  },
  {
    name: 'those of whom nothing is known, as Kubernetes has it',
    slices: [{ ...endpointSlice('a', '1', []), endpoints: [{ addresses: ['10.0.0.1'] }] }],
    peers: ['10.0.0.1:8080'],
  },
  {
    name: 'one family, where there are two',
    slices: [
      { ...endpointSlice('six', '1', ['2001:db8::1']), addressType: 'IPv6' },
      endpointSlice('four', '1', ['10.0.0.1']),
    ],
    peers: ['10.0.0.1:8080'],
  },
  {
    name: 'IPv6, where there is nothing else',
    slices: [{ ...endpointSlice('six', '1', ['2001:db8::1']), addressType: 'IPv6' }],
    peers: ['[2001:db8::1]:8080'],
  },
  {
    name: 'the port of that name, whose number may differ from slice to slice',
    slices: [
      {
        ...endpointSlice('a', '1', ['10.0.0.1']),
        ports: [
          { name: 'api', port: 81 },
          { name: 'metrics', port: 9 },
        ],
      },
      { ...endpointSlice('b', '1', ['10.0.0.2']), ports: [{ name: 'api', port: 82 }] },
    ],
    port: 'api',
    peers: ['10.0.0.1:81', '10.0.0.2:82'],
  },
  {
    name: 'nobody, where no slice has anybody, nor ports',
    slices: [{ metadata: { name: 'a' }, addressType: 'IPv4', endpoints: null, ports: null }],
    port: 'http',
    peers: [],
  },
  { name: 'nobody, where there is no slice', slices: [], peers: [] },
];

describe('peers of EndpointSlices', () => {
  for (const { name, slices, port, peers } of cases) {
    test(`are ${name}`, () => {
      const found = peersFrom(slices as EndpointSlice[], port);
      assert.deepEqual(
        found.map(({ address }) => address),
        peers,
      );
    });
  }

  test('need a port that is there, and one to be named where there are several', () => {
    const slice = {
      ...endpointSlice('a', '1', ['10.0.0.1']),
      ports: [{ name: 'api', port: 81 }, { port: 9 }, { name: 'dns', port: 53, protocol: 'UDP' }],
    } as EndpointSlice;
    assert.throws(() => peersFrom([slice], undefined), {
      message: 'EndpointSlice a: expected one port, or a "port" that says which, got api (81), 9',
    });
    assert.throws(() => peersFrom([slice], 8080), /expected port 8080, got api \(81\), 9/);
  });
});
