import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { normalizePath, type PathAllowances } from '../../../../src/worker/http/path.ts';

const unchanged = [
  '/',
  '*',
  '/a/b',
  '/a/b/',
  '//a//b',
  '/a;v=1/b',
  '/..;/a',
  '/.well-known/x',
  '/a/...',
  '/a/.b/..c/d.',
  '/a%20b',
  '/%25',
  '/%252e%252e/a',
  '/a?b=/../c',
  '/a?%2f%00%zz',
  '/?',
  "/!$&'()*+,;=:@",
];

const rewritten = [
  { target: '/.', path: '/' },
  { target: '/./a', path: '/a' },
  { target: '/a/.', path: '/a/' },
  { target: '/a/./b', path: '/a/b' },
  { target: '/a/..', path: '/' },
  { target: '/a/../b', path: '/b' },
  { target: '/a/b/..', path: '/a/' },
  { target: '/a/b/../../c', path: '/c' },
  { target: '/a//../b', path: '/a/b' },
  { target: '/a/../b?x=/../y', path: '/b?x=/../y' },
  { target: '/api/../admin', path: '/admin' },
  { target: '/%41%7a%30%2D%5f%7E', path: '/Az0-_~' },
  { target: '/a%2eb', path: '/a.b' },
  { target: '/%2ewell-known', path: '/.well-known' },
  { target: '/%3a%c3%A4', path: '/%3A%C3%A4' },
  { target: '/%61/../b', path: '/b' },
];

const refused: readonly { target: string; says: RegExp }[] = [
  ...['/..', '/../a', '/a/../..', '/a/../../b', '/./..', '/..?a'].map((target) => ({
    target,
    says: /expected a path below the root/,
  })),
  ...['/%', '/%4', '/%4g', '/%g4', '/%%41', '/a%?b', '/%u0041', '/% 1', '/%+1', '/%4/1'].map(
    (target) => ({ target, says: /expected two hex digits after "%"/ }),
  ),
  { target: '/a%2fb', says: /expected no encoded slash, got "%2f"/ },
  { target: '/a%2Fb', says: /expected no encoded slash/ },
  { target: '/a%5cb', says: /expected no encoded backslash/ },
  { target: '/a%00', says: /expected no encoded NUL/ },
  { target: '/a/%2e%2e/b', says: /expected no encoded dot segment, got "%2e%2e"/ },
  { target: '/a/.%2E/b', says: /expected no encoded dot segment/ },
  { target: '/a/%2e', says: /expected no encoded dot segment/ },
];

const allowed: readonly { allow: PathAllowances; target: string; path: string }[] = [
  { allow: { encodedSlash: true }, target: '/a%2fb/../c', path: '/c' },
  { allow: { encodedSlash: true }, target: '/a%2fb', path: '/a%2Fb' },
  { allow: { encodedBackslash: true }, target: '/a%5cb', path: '/a%5Cb' },
  { allow: { encodedNul: true }, target: '/a%00b', path: '/a%00b' },
  { allow: { encodedDots: true }, target: '/a/%2e%2E/b', path: '/b' },
  { allow: { encodedDots: true }, target: '/a/%2e', path: '/a/' },
];

describe('normalizePath', () => {
  for (const target of unchanged) {
    test(`keeps ${target}`, () => {
      assert.equal(normalizePath(target), target);
    });
  }

  for (const { target, path } of rewritten) {
    test(`makes ${target} ${path}`, () => {
      assert.equal(normalizePath(target), path);
    });
  }

  for (const { target, says } of refused) {
    test(`refuses ${target}`, () => {
      const expected = { code: 'downstream/path-not-allowed', message: says };
      assert.throws(() => normalizePath(target), expected);
    });
  }

  for (const { allow, target, path } of allowed) {
    test(`makes ${target} ${path} if ${Object.keys(allow).join()} is allowed`, () => {
      assert.equal(normalizePath(target, allow), path);
    });
  }

  test('allows only what is named', () => {
    assert.throws(() => normalizePath('/a%5c', { encodedSlash: true }), /no encoded backslash/);
    assert.throws(() => normalizePath('/%2e', { encodedNul: true }), /no encoded dot segment/);
    assert.throws(() => normalizePath('/%2e%2e', { encodedDots: true }), /below the root/);
  });

  test('refuses dots that an allowed encoded slash would set free', () => {
    for (const target of ['/a/..%2fb', '/a%2f..', '/a%2f%2e%2e%2fb', '/a%2f./b']) {
      const allow = { encodedSlash: true, encodedDots: true };
      assert.throws(() => normalizePath(target, allow), /no dot segment beside an encoded slash/);
    }
  });

  test('yields a form that is normal, stays below the root, and keeps the query', () => {
    const piece = fc.constantFrom('/', '/', '.', '..', 'a', '%41', '%2e', '%25', '%2f', '%c3', '%');
    const targets = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`);
    const allow = { encodedSlash: true, encodedDots: true };
    fc.assert(
      fc.property(targets, fc.constantFrom('', '?', '?/../%zz'), (path, query) => {
        const normal = outcomeOf(() => normalizePath(path + query, allow));
        if (normal === undefined) return;
        assert.equal(normalizePath(normal, allow), normal);
        assert.ok(normal.startsWith('/') && normal.endsWith(query));
        const segments = normal.slice(0, normal.length - query.length).split('/');
        assert.ok(!segments.includes('.') && !segments.includes('..'));
      }),
      { numRuns: 1_000 },
    );
  });
});

function outcomeOf(normalize: () => string): string | undefined {
  try {
    return normalize();
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'ProxyError');
    return undefined;
  }
}
