import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AnswerReader } from '../../../../src/prove/wire/answer-reader.ts';

const accepted = [
  { name: 'a length', wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', body: 'hello' },
  { name: 'no body', wire: 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', body: '' },
  { name: 'a status that has none', wire: 'HTTP/1.1 204 No Content\r\n\r\n', body: '' },
  {
    name: 'chunks',
    wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n',
    body: 'hello',
  },
  {
    name: 'an interim answer first',
    wire: 'HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello',
    body: 'hello',
  },
];

const rejected = [
  { name: 'another protocol', wire: 'ICY 200 OK\r\n\r\n', says: /status line/ },
  { name: 'a field without a colon', wire: 'HTTP/1.1 200 OK\r\nabc\r\n\r\n', says: /field line/ },
  {
    name: 'two lengths',
    wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    says: /two lengths/,
  },
  {
    name: 'a length twice',
    wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n',
    says: /the length "5, 5"/,
  },
  {
    name: 'a chunk without a size',
    wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    says: /chunk size "xyz"/,
  },
  {
    name: 'a chunk longer than its size',
    wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n',
    says: /longer than its size/,
  },
  {
    name: 'an endless head',
    wire: `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(20_000)}`,
    says: /a head above/,
  },
];

describe('AnswerReader', () => {
  for (const { name, wire, body } of accepted) {
    test(`reads ${name}, wherever it is cut`, () => {
      for (let cut = 0; cut <= wire.length; cut++) {
        const read = readAll(wire.slice(0, cut), wire.slice(cut));
        assert.deepEqual(read, { body, done: true, rest: '' }, `cut after byte ${cut}`);
      }
    });
  }

  for (const { name, wire, says } of rejected) {
    test(`rejects ${name}`, () => {
      assert.throws(() => readAll(wire), { name: 'Loss', kind: 'wrong', message: says });
    });
  }

  test('leaves what comes after the answer', () => {
    const { rest } = readAll('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n');
    assert.equal(rest, 'HTTP/1.1 200 OK\r\n');
  });

  test('takes the end of the connection for the end of a body without a length, and of no other', () => {
    const endless = new AnswerReader({ onHead: () => {}, onBody: () => {} });
    endless.read(Buffer.from('HTTP/1.1 200 OK\r\n\r\nhello'));
    assert.ok(endless.end());

    const short = new AnswerReader({ onHead: () => {}, onBody: () => {} });
    short.read(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello'));
    assert.ok(!short.end());
  });
});

function readAll(...pieces: string[]) {
  let body = '';
  let rest = '';
  const reader = new AnswerReader({
    onHead: () => {},
    onBody: (bytes) => {
      body += bytes.toString('latin1');
    },
  });
  for (const piece of pieces) rest += reader.read(Buffer.from(piece, 'latin1')).toString('latin1');
  return { body, done: reader.done, rest };
}
