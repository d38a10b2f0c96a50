import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../../../../src/shared/config/load.ts';
import {
  discoveredName,
  discoveryFrom,
} from '../../../../src/worker/filters/upstream-discovery.ts';

const kinds = [
  { text: '{ type: dns, name: api.test, port: 80, family: ipv4 }', source: 'dns api.test:80 ipv4' },
  { text: '{ type: dns_srv, name: _http._tcp.api.test }', source: 'dns_srv _http._tcp.api.test' },
  { text: '{ type: file, path: peers.yaml }', source: 'file peers.yaml' },
  {
    text: '{ type: kubernetes, service: cart, namespace: shop, port: http }',
    source: 'kubernetes [null,"shop","cart","http"]',
  },
];

describe('the discovery of an upstream', () => {
  for (const { text, source } of kinds) {
    test(`is made of ${text}`, () => {
      assert.equal(discoveryFrom(upstreamWith(text))?.source, source);
    });
  }

  test('gives its name to the certificates of peers that are only addresses', () => {
    assert.equal(discoveredName(upstreamWith(kinds[0]!.text)), 'api.test');
    assert.equal(discoveredName(upstreamWith(kinds[1]!.text)), undefined);
  });
});

function upstreamWith(discovery: string) {
  const loaded = parseConfig(
    `version: 1\nupstreams: { api: { discovery: ${discovery} } }\n`,
    'conf.yaml',
    {},
  );
  assert.ok(loaded.ok);
  return loaded.settings.upstreams['api']!;
}
