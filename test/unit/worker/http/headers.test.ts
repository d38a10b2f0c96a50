import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Headers } from '../../../../src/worker/http/headers.ts';
import { sameName } from '../../../../src/worker/http/name-set.ts';

function sample(): Headers {
  return new Headers(['Host', 'a', 'X-One', '1', 'x-two', '2', 'X-ONE', '3']);
}

describe('Headers', () => {
  test('finds fields whatever the case of the name', () => {
    for (const name of ['x-one', 'X-One', 'X-ONE']) {
      assert.equal(sample().get(name), '1');
      assert.deepEqual(sample().getAll(name), ['1', '3']);
      assert.ok(sample().has(name));
    }
    assert.equal(sample().get('x-three'), undefined);
    assert.deepEqual(sample().getAll('x-three'), []);
    assert.equal(sample().has('x-on'), false);
  });

  test('keeps case, order and repetitions as they arrived', () => {
    assert.deepEqual(
      [...sample()],
      [
        ['Host', 'a'],
        ['X-One', '1'],
        ['x-two', '2'],
        ['X-ONE', '3'],
      ],
    );
    assert.equal(sample().size, 4);
  });

  test('never takes a value for a name', () => {
    const headers = new Headers(['a', 'b', 'b', 'c']);
    assert.equal(headers.get('c'), undefined);
    assert.equal(headers.get('b'), 'c');
    assert.deepEqual([...headers.delete('b')].flat(), ['a', 'b']);
  });

  const changes = [
    {
      name: 'set replaces all fields of that name, behind the others',
      change: (headers: Headers) => headers.set('x-one', '4'),
      fields: ['Host', 'a', 'x-two', '2', 'x-one', '4'],
    },
    {
      name: 'set adds a field that was not there',
      change: (headers: Headers) => headers.delete('x-one').set('New', ''),
      fields: ['Host', 'a', 'x-two', '2', 'New', ''],
    },
    {
      name: 'append leaves the others alone',
      change: (headers: Headers) => headers.append('x-two', '4'),
      fields: ['Host', 'a', 'X-One', '1', 'x-two', '2', 'X-ONE', '3', 'x-two', '4'],
    },
    {
      name: 'delete removes every field of that name',
      change: (headers: Headers) => headers.delete('x-oNE').delete('absent'),
      fields: ['Host', 'a', 'x-two', '2'],
    },
    {
      name: 'filter keeps what is wanted',
      change: (headers: Headers) => headers.filter((name, value) => name !== 'Host' && value > '1'),
      fields: ['x-two', '2', 'X-ONE', '3'],
    },
  ];
  for (const { name, change, fields } of changes) {
    test(name, () => {
      const headers = sample();
      change(headers);
      assert.deepEqual([...headers].flat(), fields);
    });
  }

  test('a clone goes its own way', () => {
    const headers = sample();
    const clone = headers.clone().set('host', 'b');
    assert.equal(headers.get('host'), 'a');
    assert.equal(clone.get('host'), 'b');
  });

  test('are made from an object', () => {
    assert.deepEqual([...Headers.from({ A: '1', b: '2' })].flat(), ['A', '1', 'b', '2']);
    assert.equal(new Headers().size, 0);
  });

  test('names that objects have a meaning for are names like others', () => {
    const headers = new Headers();
    assert.equal(headers.get('__proto__'), undefined);
    assert.equal(headers.get('constructor'), undefined);
    headers.set('__proto__', 'x');
    assert.equal(headers.get('__PROTO__'), 'x');
  });

  for (const name of ['', 'a b', 'a:', 'a\r\nb', 'ä', 'a\0', '(a)', 'a\n']) {
    test(`refuses the name ${JSON.stringify(name)}`, () => {
      const says = { name: 'TypeError', message: /expected a token such as "x-request-id"/ };
      assert.throws(() => new Headers().set(name, 'x'), says);
      assert.throws(() => new Headers().append(name, 'x'), says);
    });
  }

  for (const value of ['a\r\nSet-Cookie: b', 'a\n', '\r', '\0', 'a\x7f', 'a\x0bb', '€', '\ud83d']) {
    test(`refuses the value ${JSON.stringify(value)}`, () => {
      const says = { name: 'TypeError', message: /expected Latin-1 text without control char/ };
      assert.throws(() => new Headers().set('x', value), says);
      assert.throws(() => new Headers().append('x', value), says);
    });
  }

  test('accepts tabs, blanks and Latin-1 in a value', () => {
    assert.equal(new Headers().set('x', 'a\tb c\xe9\xff').get('x'), 'a\tb c\xe9\xff');
  });
});

test('names are the same if only their case differs', () => {
  assert.ok(sameName('ETag', 'etag'));
  assert.equal(sameName('ETag', 'etags'), false);
  assert.equal(sameName('a-b', 'a_b'), false);
});
