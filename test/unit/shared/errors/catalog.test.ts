import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { catalog, errorCodes, type ErrorFacts } from '../../../../src/shared/errors/catalog.ts';
import { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';

describe('the error catalog', () => {
  test('lists every code once', () => {
    assert.ok(errorCodes.length > 15);
    assert.deepEqual([...new Set(errorCodes)], Object.keys(catalog));
  });

  for (const code of errorCodes) {
    const facts: ErrorFacts = catalog[code];

    test(`says whose fault ${code} is, in the code and in the facts`, () => {
      assert.match(code, /^(downstream|upstream|internal)\/[a-z]+(-[a-z]+)*$/);
      assert.equal(facts.side, code.split('/')[0]);
    });

    test(`answers ${code} with a status that fits`, () => {
      const fitting = {
        downstream: /^(0|4\d\d|50[15])$/,
        upstream: /^50[234]$/,
        internal: /^50[04]$/,
      };
      assert.match(String(facts.status), fitting[facts.side]);
    });

    test(`tells the operator of ${code} what happened, and what to look at`, () => {
      for (const text of [facts.means, facts.remedy]) assert.match(text, /^[A-Z`].{20,}\.$/);
    });

    test(`retries ${code} only if that can help`, () => {
      if (facts.side !== 'upstream') assert.equal(facts.retry, 'never');
    });
  }

  test('texts are unique: two codes that mean the same would be one', () => {
    const texts = errorCodes.map((code) => catalog[code].means);
    assert.equal(new Set(texts).size, texts.length);
  });
});

describe('a ProxyError', () => {
  test('carries its code, its facts, the detail and the cause', () => {
    const cause = new Error('ECONNREFUSED');
    const error = new ProxyError('upstream/connect-refused', 'api at 10.0.0.1:80', { cause });

    assert.equal(error.name, 'ProxyError');
    assert.equal(error.code, 'upstream/connect-refused');
    assert.equal(error.message, 'upstream/connect-refused: api at 10.0.0.1:80');
    assert.equal(error.facts, catalog['upstream/connect-refused']);
    assert.equal(error.cause, cause);
  });
});
