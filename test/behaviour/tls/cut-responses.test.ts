import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { createServer as createTlsServer, type SecureVersion, type TLSSocket } from 'node:tls';
import { dial } from '../../../src/worker/upstream/dial.ts';
import { HttpPeer } from '../../../src/worker/upstream/peer.ts';
import {
  NOBODY,
  type Transport,
  type TransportOwner,
} from '../../../src/worker/transport/transport.ts';
import { authority, makeCertificate, startSluice } from '../../support/index.ts';
import { temporaryFile } from '../../support/index.ts';

const certificate = makeCertificate({
  commonName: 'by address',
  names: ['127.0.0.1'],
  issuer: authority,
});

/**
 * An origin whose responses end with the connection, and which ends that as the
 * path says: `/closed` in TLS, `/cut` only in TCP. `large` ones do not fit a buffer.
 */
async function endingPeer(t: TestContext, maxVersion: SecureVersion): Promise<string> {
  const below = new Map<number, Socket>();
  const tls = createTlsServer({ ...certificate, maxVersion }, (socket: TLSSocket) => {
    socket.on('error', () => {});
    socket.once('data', (bytes: Buffer) => {
      const [, path = ''] = bytes.toString().split(' ');
      const body = 'x'.repeat(path.includes('large') ? 3_000_000 : 10);
      const response = `HTTP/1.1 200 OK\r\n\r\n${body}`;
      if (path.startsWith('/closed')) socket.end(response);
      else socket.write(response, () => below.get(socket.remotePort!)!.end());
    });
  });
  const server = createServer((socket) => {
    below.set(socket.remotePort!, socket);
    t.after(() => socket.destroy());
    tls.emit('connection', socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  describe(`a response that ends with the connection, over ${version},`, () => {
    for (const size of ['small', 'large']) {
      test(`is complete if the peer has ended it: ${size}`, async (t) => {
        const sluice = await gatewayTo(t, await endingPeer(t, version));
        const { body, headers } = await sluice.get(`/closed/${size}`);
        assert.equal(headers['transfer-encoding'], 'chunked');
        assert.equal(body.length, size === 'large' ? 3_000_000 : 10);
      });

      test(`is cut if only TCP has ended: ${size}`, async (t) => {
        const sluice = await gatewayTo(t, await endingPeer(t, version));
        await assert.rejects(sluice.get(`/cut/${size}`), { code: 'ECONNRESET' });
        const line = await sluice.logged(({ msg }) => msg === 'request failed');
        assert.match(JSON.stringify(line['err']), /upstream\/closed.*without an end of TLS/);
      });
    }

    for (const how of ['closed', 'cut']) {
      test(`is known to be ${how}, however often its reader has to pause`, async (t) => {
        const peer = new HttpPeer(await endingPeer(t, version), { tls: true, verifyCert: false });
        for (const turns of [0, 1, 5]) {
          assert.deepEqual(await readWithPauses(peer, `/${how}/large`, turns), {
            bytes: 'HTTP/1.1 200 OK\r\n\r\n'.length + 3_000_000,
            isCut: how === 'cut',
          });
        }
      });
    }
  });
}

/** @param turns of the event loop, that each piece takes its reader */
function readWithPauses(peer: HttpPeer, path: string, turns: number) {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    const ownerOf = (transport: Transport): TransportOwner => ({
      ...NOBODY,
      onBytes(_bytes, from, end) {
        bytes += end - from;
        transport.pause();
        let left = turns;
        const go = () => (left-- > 0 ? setImmediate(go) : transport.resume());
        setImmediate(go);
      },
      onEnd() {
        resolve({ bytes, isCut: transport.isCut });
        transport.destroy();
      },
    });
    dial(
      peer,
      {
        onConnected: (connected) =>
          connected((transport) => {
            transport.writeText(`GET ${path} HTTP/1.1\r\n\r\n`);
            return ownerOf(transport);
          }),
        onFailed: reject,
      },
      '',
    );
  });
}

function gatewayTo(t: TestContext, peer: string) {
  const ca = temporaryFile(t, 'ca.pem', authority.cert);
  return startSluice(
    t,
    `
    upstreams: { api: { peers: ['${peer}'], tls: { ca: '${ca}' } } }
    services: [{ name: edge, listen: ['127.0.0.1:0'], routes: [{ upstream: api }] }]
  `,
  );
}
