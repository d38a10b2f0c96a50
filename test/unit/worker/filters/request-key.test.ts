import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { RequestKey } from '../../../../src/shared/config/kinds.ts';
import { requestKey } from '../../../../src/worker/filters/request-key.ts';
import { Headers } from '../../../../src/worker/http/headers.ts';
import type { Session } from '../../../../src/worker/proxy/session.ts';

const HEADERS = {
  Host: 'Api.Example.com',
  'X-Tenant': 'acme',
  Cookie: 'theme=dark; session = a=b ;session=other',
};

const rows: { key: RequestKey; is: string }[] = [
  { key: { kind: 'client_ip' }, is: '192.0.2.1' },
  { key: { kind: 'host' }, is: 'api.example.com' },
  { key: { kind: 'path' }, is: '/a/b' },
  { key: { kind: 'uri' }, is: '/a/b?c=d?e' },
  { key: { kind: 'header', name: 'x-tenant' }, is: 'acme' },
  { key: { kind: 'header', name: 'x-nothing' }, is: '192.0.2.1' },
  { key: { kind: 'cookie', name: 'session' }, is: 'a=b' },
  { key: { kind: 'cookie', name: 'Session' }, is: '192.0.2.1' },
  { key: { kind: 'cookie', name: 'dark' }, is: '192.0.2.1' },
];

for (const { key, is } of rows) {
  test(`${Object.values(key).join(' ')} of a request is ${is}`, () => {
    const headers = new Headers();
    for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
    const session = { clientIp: '192.0.2.1', request: { target: '/a/b?c=d?e', headers } };

    assert.equal(requestKey(key)(session as unknown as Session), is);
  });
}
