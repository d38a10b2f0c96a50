import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { ProxyError } from '../../../../src/shared/errors/proxy-error.ts';
import type { BodyReceiver } from '../../../../src/worker/http/body.ts';
import { StreamedBody } from '../../../../src/worker/proxy/streamed-body.ts';

/** Pieces that are always ready, and a count of those that were asked for. */
function endless() {
  const asked = { pieces: 0, returned: false };
  const pieces = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        asked.pieces += 1;
        return Promise.resolve({ done: false as const, value: 'x' });
      },
      return: () => {
        asked.returned = true;
        return Promise.resolve({ done: true as const, value: undefined });
      },
    }),
  };
  return { asked, pieces };
}

function receiver(onPiece: (text: string) => void) {
  const heard: string[] = [];
  const body: BodyReceiver = {
    onData: (bytes, from, end) => onPiece(bytes.toString('latin1', from, end)),
    onIdle() {},
    onEnd: () => void heard.push('end'),
    onError: (error: ProxyError) => void heard.push(error.message),
  };
  return { body, heard };
}

/** Far more turns than any of these tests needs. */
async function turns(count = 10): Promise<void> {
  for (let n = 0; n < count; n++) await turn();
}

describe('a streamed body', () => {
  test('asks for no further piece while it is paused', async () => {
    const { asked, pieces } = endless();
    const streamed = new StreamedBody(pieces, undefined);
    let got = 0;
    const { body } = receiver(() => {
      got += 1;
      if (got === 3) streamed.pause();
    });

    streamed.start(body);
    await turns();
    assert.deepEqual({ asked: asked.pieces, got }, { asked: 3, got: 3 });

    streamed.resume();
    await turns();
    assert.ok(got > 3);
    streamed.discard();
  });

  test('leaves the event loop to others, however fast the pieces come', async () => {
    const { asked, pieces } = endless();
    const streamed = new StreamedBody(pieces, undefined);

    streamed.start(receiver(() => {}).body);
    await turn();
    assert.ok(asked.pieces < 200, `${asked.pieces} pieces in one turn`);
    streamed.discard();
  });

  test('that is discarded ends its pieces and says nothing more', async () => {
    const { asked, pieces } = endless();
    const streamed = new StreamedBody(pieces, undefined);
    let got = 0;
    const { body, heard } = receiver(() => void (got += 1));
    streamed.start(body);
    await turn();

    streamed.discard();
    const before = got;
    await turns();

    assert.equal(asked.returned, true);
    assert.equal(got, before);
    assert.deepEqual(heard, []);
  });
});
