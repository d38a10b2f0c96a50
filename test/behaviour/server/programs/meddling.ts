/** A program whose phases meddle with what frames messages, and wait for somebody else's word. */
import { HttpPeer, httpProxyService, Server } from 'sluice';

const server = Server.fromArgs();
const { peer, gate } = server.configuration as { peer: string; gate: string };
const upstream = new HttpPeer(peer);

const FRAMING = [
  ['content-length', '3'],
  ['Transfer-Encoding', 'chunked'],
] as const;

server.addService(
  httpProxyService(
    {
      async requestFilter(session) {
        const { request } = session;
        if (request.target === '/gate') await fetch(`http://${gate}/`);
        if (request.target === '/ask-with-get') request.method = 'GET';
        if (request.target === '/ask-with-head') request.method = 'HEAD';
        return undefined;
      },
      upstreamPeer: () => upstream,
      upstreamRequestFilter(_session, { target, headers }) {
        if (target !== '/frame') return;
        for (const [name, value] of FRAMING) headers.set(name, value);
      },
      async responseFilter(session, { headers }) {
        if (session.request.target === '/gate-answer') await fetch(`http://${gate}/`);
        if (session.request.target !== '/frame') return;
        for (const [name, value] of FRAMING) headers.set(name, value);
      },
    },
    { name: 'edge' },
  ).addTcp('127.0.0.1:0'),
);
await server.run();
