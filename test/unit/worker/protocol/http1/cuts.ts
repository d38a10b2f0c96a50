/** The network may cut a message anywhere: every message of the tests is run with every cut. */
import assert from 'node:assert/strict';

/** Reads one head from `bytes[from..end)`: the index after it, or -1 if it is not complete. */
export type ReadHead = (bytes: Buffer, from: number, end: number) => number;

/** A head must be found with its last byte, not earlier, and without looking at what comes after it. */
export function acceptsAtEveryCut(read: ReadHead, wire: string): void {
  const { bytes, from, end } = embedded(wire);
  for (let cut = from; cut < end; cut++) {
    assert.equal(read(bytes, from, cut), -1, `cut after byte ${cut - from}`);
    const stale = Buffer.from(bytes).fill('\0', cut);
    assert.equal(read(stale, from, cut), -1, `stale bytes after byte ${cut - from}`);
  }
  assert.equal(read(bytes, from, end), end);
  assert.equal(read(bytes, from, bytes.length), end, 'with bytes after the head');
}

/** No beginning of a message that is refused may be accepted: its sender would get two answers. */
export function refusesAtEveryCut(
  read: ReadHead,
  wire: string,
  expected: { readonly code?: string; readonly says: RegExp },
): void {
  const { bytes, from, end } = embedded(wire);
  const error = {
    name: 'Malformed',
    message: expected.says,
    code: expected.code ?? 'malformed-message',
  };
  assert.throws(() => read(bytes, from, end), error);
  let refusedBefore = false;
  for (let cut = from; cut < end; cut++) {
    const verdict = verdictOf(() => read(bytes, from, cut));
    assert.notEqual(verdict, 'accepted', `cut after byte ${cut - from}`);
    if (refusedBefore) assert.equal(verdict, 'refused', `cut after byte ${cut - from}`);
    refusedBefore = verdict === 'refused';
  }
}

/** Between other bytes, so that reading before `from` or beyond `end` shows. */
function embedded(wire: string) {
  const before = 'GET\r\n';
  const bytes = Buffer.from(`${before}${wire}\r\n\r\nGET /after`, 'latin1');
  return { bytes, from: before.length, end: before.length + wire.length };
}

function verdictOf(read: () => number): 'accepted' | 'incomplete' | 'refused' {
  try {
    return read() < 0 ? 'incomplete' : 'accepted';
  } catch (thrown) {
    assert.equal((thrown as Error).name, 'Malformed', String(thrown));
    return 'refused';
  }
}
