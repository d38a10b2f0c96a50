import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Router, type RouteMatch, type Routable } from '../../../../src/worker/router/router.ts';

const asks = (request: Partial<Routable>): Routable => ({
  method: 'GET',
  authority: 'api.example.com',
  target: '/',
  ...request,
});

const cases: { match: RouteMatch; takes: Partial<Routable>[]; leaves: Partial<Routable>[] }[] = [
  { match: {}, takes: [{}, { target: '*', method: 'OPTIONS' }, { authority: '' }], leaves: [] },
  {
    match: { host: 'API.example.com' },
    takes: [
      { authority: 'api.example.com' },
      { authority: 'API.EXAMPLE.COM' },
      { authority: 'api.example.com:8080' },
      { authority: 'api.example.com.' },
      { authority: 'api.example.com.:443' },
    ],
    leaves: [
      { authority: '' },
      { authority: 'example.com' },
      { authority: 'www.api.example.com' },
      { authority: 'api.example.com.evil.org' },
      { authority: 'xapi.example.com' },
    ],
  },
  {
    match: { host: '*.example.com' },
    takes: [{ authority: 'a.example.com' }, { authority: 'a.b.Example.com:80' }],
    leaves: [
      { authority: 'example.com' },
      { authority: '.example.com' },
      { authority: 'badexample.com' },
      { authority: 'a.example.com.evil.org' },
    ],
  },
  {
    match: { host: '[::1]' },
    takes: [{ authority: '[::1]' }, { authority: '[::1]:8080' }],
    leaves: [{ authority: '[::2]' }, { authority: '::1' }],
  },
  {
    match: { path: '/a' },
    takes: [{ target: '/a' }, { target: '/a?b=/c' }, { target: '/a?' }],
    leaves: [
      { target: '/' },
      { target: '/a/' },
      { target: '/ab' },
      { target: '/A' },
      { target: '/%61' },
    ],
  },
  {
    match: { path: '/a/*' },
    takes: [
      { target: '/a' },
      { target: '/a/' },
      { target: '/a/b/c' },
      { target: '/a?x' },
      { target: '/a/b?x' },
    ],
    leaves: [{ target: '/' }, { target: '/ab' }, { target: '/b/a/' }, { target: '/b?/a/' }],
  },
  {
    match: { path: '/*' },
    takes: [{ target: '/' }, { target: '/anything/at/all' }, { target: '/?' }],
    leaves: [{ target: '*' }],
  },
  {
    match: { methods: ['GET', 'HEAD'] },
    takes: [{ method: 'GET' }, { method: 'HEAD' }],
    leaves: [{ method: 'POST' }, { method: 'get' }],
  },
  {
    match: { host: 'api.example.com', path: '/v1/*', methods: ['POST'] },
    takes: [{ method: 'POST', target: '/v1/x' }],
    leaves: [
      { method: 'GET', target: '/v1/x' },
      { method: 'POST', target: '/v2/x' },
      { method: 'POST', target: '/v1/x', authority: 'www.example.com' },
    ],
  },
];

describe('a route', () => {
  for (const { match, takes, leaves } of cases) {
    const router = new Router([{ match, route: 'it' }]);
    for (const request of takes) {
      test(`for ${JSON.stringify(match)} takes ${JSON.stringify(request)}`, () => {
        assert.equal(router.find(asks(request)), 'it');
      });
    }
    for (const request of leaves) {
      test(`for ${JSON.stringify(match)} leaves ${JSON.stringify(request)}`, () => {
        assert.equal(router.find(asks(request)), undefined);
      });
    }
  }

  test('without conditions takes everything', () => {
    assert.equal(new Router([{ match: undefined, route: 1 }]).find(asks({})), 1);
  });
});

test('the first route that matches takes the request, not the most precise one', () => {
  const router = new Router([
    { match: { path: '/a/b' }, route: 'exact' },
    { match: { path: '/a/*' }, route: 'below' },
    { match: { path: '/a/c' }, route: 'never' },
    { match: undefined, route: 'rest' },
  ]);
  const found = ['/a/b', '/a/c', '/a', '/z'].map((target) => router.find(asks({ target })));

  assert.deepEqual(found, ['exact', 'below', 'below', 'rest']);
});
