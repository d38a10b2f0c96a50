/** TLS for tests: a client that records bytes, and a peer. */
import { createServer as createHttps } from 'node:https';
import { request as httpsRequest } from 'node:https';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { connect, type ConnectionOptions, type TlsOptions, type TLSSocket } from 'node:tls';
import { makeAuthority, makeCertificate, type Certificate } from './certificates.ts';
import { overSocket, type RawClient } from './raw.ts';
import type { Answer } from './sluice.ts';

/** Whom clients of the tests believe, and what it has signed. */
export const authority = makeAuthority('Test Authority');
export const edge = makeCertificate({
  commonName: 'edge.test',
  names: ['edge.test', '127.0.0.1'],
  issuer: authority,
});

export interface PemPaths {
  readonly cert: string;
  readonly key: string;
}

/** Writes them where only their owner may read, into a folder that ends with the test. */
export function pemFiles(t: TestContext, { cert, key }: Certificate): PemPaths {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-pem-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const paths = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem') };
  writeFileSync(paths.cert, cert);
  writeFileSync(paths.key, key, { mode: 0o600 });
  return paths;
}

export interface TlsClient extends RawClient {
  readonly socket: TLSSocket;
}

/** Resolves after the handshake; rejects if it fails. */
export async function tlsClient(
  t: TestContext,
  port: number,
  options: ConnectionOptions = {},
): Promise<TlsClient> {
  // Node's types do not know `allowHalfOpen` here.
  const halfOpen: ConnectionOptions & { readonly allowHalfOpen: true } = {
    host: '127.0.0.1',
    port,
    ca: authority.cert,
    servername: 'edge.test',
    allowHalfOpen: true,
    ...options,
  };
  const socket = connect(halfOpen);
  t.after(() => socket.destroy());
  await new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
  return Object.assign(overSocket(socket), { socket });
}

/** One request over TLS, on a connection of its own. */
export function getTls(port: number, path: string, options: ConnectionOptions = {}) {
  return new Promise<Answer>((resolve, reject) => {
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        agent: false,
        ca: authority.cert,
        servername: 'edge.test',
        ...options,
      },
      (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const { statusCode: status = 0, headers, rawHeaders } = response;
          resolve({ status, headers, rawHeaders, body: Buffer.concat(pieces).toString('latin1') });
        });
      },
    );
    request.on('error', reject);
    request.end();
  });
}

export interface TlsPeer {
  readonly address: string;
  readonly port: number;
  readonly connections: readonly TLSSocket[];
  /** For each of them, whether its session went on from an earlier one. */
  readonly resumed: readonly boolean[];
}

/** An HTTPS server that says `hello over TLS`, unless it is told otherwise. */
export async function startTlsPeer(
  t: TestContext,
  options: TlsOptions,
  handler: (request: IncomingMessage, response: ServerResponse) => void = (_request, response) =>
    void response.end('hello over TLS'),
): Promise<TlsPeer> {
  const connections: TLSSocket[] = [];
  const server = createHttps(options, handler);
  const resumed: boolean[] = [];
  server.on('secureConnection', (socket: TLSSocket) => {
    connections.push(socket);
    resumed.push(socket.isSessionReused());
  });
  // A client that refuses our certificate is what some tests are about.
  server.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { address: `127.0.0.1:${port}`, port, connections, resumed };
}
