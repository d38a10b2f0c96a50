/** A program whose peers are reached in ways of their own: `/2` asks the third of them. */
import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { HttpPeer, httpProxyService, Server, type PeerConnector, type PeerOptions } from 'sluice';

interface Described extends Omit<PeerOptions, 'connector'> {
  readonly address: string;
  readonly connector?: keyof typeof connectors;
}

function say(msg: string): void {
  process.stderr.write(`${JSON.stringify({ msg })}\n`);
}

/** Answers everything by itself, in this process. */
function inMemory(): Duplex {
  let asked = '';
  return new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      asked += bytes.toString('latin1');
      for (let end = asked.indexOf('\r\n\r\n'); end >= 0; end = asked.indexOf('\r\n\r\n')) {
        asked = asked.slice(end + 4);
        this.push('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nin memory');
      }
      done();
    },
  });
}

const server = Server.fromArgs();
const { peers } = server.configuration as { peers: Described[] };

const connectors = {
  'in memory': () => {
    say('the connector was asked');
    return Promise.resolve(inMemory());
  },
  // The socket is not connected yet: whoever asked waits for that.
  'to the same address': ({ host, port }) => Promise.resolve(connect({ host, port })),
  // No socket any more, only a stream.
  'in a wrapping': ({ host, port }) => {
    const socket = connect({ host, port });
    return Promise.resolve(Duplex.from({ readable: socket, writable: socket }));
  },
  fails: () => Promise.reject(new Error('made for the test')),
  'is no stream': () => Promise.resolve('nonsense' as unknown as Duplex),
  'is closed': () => {
    const stream = inMemory();
    stream.destroy();
    return Promise.resolve(stream);
  },
  never: (_peer, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        say('the connector was stopped');
        reject(new Error('nobody hears of this'));
      });
    }),
} satisfies Record<string, PeerConnector>;

const made = peers.map(({ address, connector, ca, ...options }) => {
  const peer = new HttpPeer(address, options);
  return new HttpPeer(peer, {
    ...(ca !== undefined && { ca: server.readPem(ca) }),
    ...(connector !== undefined && { connector: connectors[connector] }),
  });
});

server.addService(
  httpProxyService({
    upstreamPeer: ({ request }) => made[Number(request.target.slice(1))]!,
    upstreamRequestFilter({ peer, connection }, { headers }) {
      const { isReused, remoteAddress, tls } = connection!;
      headers.set('x-peer', `${peer!.address} ${isReused ? 'reused' : 'new'}`);
      headers.set('x-way', [remoteAddress, tls?.version, tls?.alpn, tls?.sni].join(' ').trim());
    },
  }).addTcp('127.0.0.1:0'),
);
await server.run();
